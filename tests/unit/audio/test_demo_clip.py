"""The demo's own clip: a loop that is pleasant, level and the same for everybody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile as sf

from bridge.audio.demo_clip import write_demo_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "clip.wav"
    write_demo_clip(str(path))
    return path


def test_it_is_eight_seconds_of_48_khz_24_bit_stereo(clip: Path) -> None:
    info = sf.info(clip)
    assert (info.format, info.subtype, info.samplerate, info.channels) == ("WAV", "PCM_24", 48_000, 2)
    assert info.frames == 384_000


def test_it_is_as_loud_as_music_and_does_not_clip(clip: Path) -> None:
    frames, samplerate = sf.read(clip)
    assert -16 <= pyloudnorm.Meter(samplerate).integrated_loudness(frames) <= -14
    assert np.abs(frames).max() < 0.95


def test_it_loops_without_a_click(clip: Path) -> None:
    frames, _ = sf.read(clip)
    steps = np.abs(np.diff(frames, axis=0)).max(axis=1)
    assert np.abs(frames[0] - frames[-1]).max() < np.quantile(steps, 0.9)


def test_it_is_music_and_not_a_tone(clip: Path) -> None:
    frames, samplerate = sf.read(clip)
    power = np.abs(np.fft.rfft(frames.mean(axis=1))) ** 2
    hz = np.fft.rfftfreq(len(frames), 1 / samplerate)
    for low, high in ((35, 120), (120, 500), (500, 2_000), (2_000, 6_000), (6_000, 16_000)):
        band_db = 10 * np.log10(power[(hz >= low) & (hz < high)].sum() / power.sum())
        assert band_db > -30
    assert 0.3 < np.corrcoef(frames.T)[0, 1] < 0.99


def test_everybody_gets_the_same_bytes(clip: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.wav"
    write_demo_clip(str(again))
    assert again.read_bytes() == clip.read_bytes()
