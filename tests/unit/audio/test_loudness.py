"""The meter agrees with others that follow the same standard.

pyloudnorm is asked with its "DeMan" filter set, which follows the standard's own coefficients at 48 kHz; its default
set is another approximation and reads up to 0.05 LU lower.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyloudnorm
import pytest
import scipy.signal
import soundfile

from bridge.audio.loudness import Loudness, Meter, measure

Sound = npt.NDArray[np.float64]


def metered(sound: Sound, samplerate: int, block_frames: int = 65_536, dtype: str = "float32") -> Loudness:
    """What the meter says of `sound`, shape (frames, channels), given in blocks."""
    meter = Meter(samplerate, sound.shape[1])
    for start in range(0, len(sound), block_frames):
        meter.add(sound[start : start + block_frames].astype(dtype))
    return meter.finish()


def programme(kind: str, samplerate: int, channels: int, seconds: float = 12.0) -> Sound:
    rng = np.random.default_rng(7)
    time = np.arange(int(seconds * samplerate)) / samplerate
    if kind == "noise":
        return rng.standard_normal((len(time), channels)) * 0.1
    if kind == "tones":
        tones = [np.sin(2 * np.pi * hertz * time) * 0.2 for hertz in (55.0, 440.0, 2_900.0)]
        return np.stack([sum(tones[channel:], np.zeros(len(time))) for channel in range(channels)], axis=1)
    if kind == "beats":  # short bursts with long pauses: both gates at work
        envelope = np.exp(-12 * (time % 0.5)) * np.where(time % 6 < 3, 1.0, 0.003)
        return rng.standard_normal((len(time), channels)) * 0.3 * envelope[:, None]
    rumble = np.sin(2 * np.pi * 30 * time)[:, None] * 0.5 + rng.standard_normal((len(time), channels)) * 0.01
    return np.broadcast_to(rumble, (len(time), channels))


@pytest.mark.parametrize("kind", ["noise", "tones", "beats", "rumble"])
@pytest.mark.parametrize("samplerate", [8_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_integrated_loudness_is_what_the_reference_reads(kind: str, samplerate: int, channels: int) -> None:
    sound = programme(kind, samplerate, channels)
    reference = pyloudnorm.Meter(samplerate, filter_class="DeMan").integrated_loudness(sound)
    assert metered(sound, samplerate).lufs == pytest.approx(reference, abs=0.05)


def test_a_stereo_tone_of_1_khz_at_minus_23_dbfs_reads_minus_23_lufs() -> None:
    """EBU Tech 3341, test case 1."""
    tone = np.sin(2 * np.pi * 1_000 * np.arange(20 * 48_000) / 48_000) * 10 ** (-23 / 20)
    assert metered(np.stack([tone, tone], axis=1), 48_000).lufs == pytest.approx(-23.0, abs=0.1)


def test_quiet_stretches_do_not_count() -> None:
    """EBU Tech 3341, test case 3: 10 s at -36, 60 s at -23, 10 s at -36 dBFS."""
    levels = np.repeat([-36.0, -23.0, -36.0], [10 * 48_000, 60 * 48_000, 10 * 48_000])
    tone = np.sin(2 * np.pi * 1_000 * np.arange(len(levels)) / 48_000) * 10 ** (levels / 20)
    assert metered(np.stack([tone, tone], axis=1), 48_000).lufs == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("block_frames", [1, 100, 4_801, 65_536])
def test_how_a_sound_is_cut_into_blocks_does_not_matter(block_frames: int) -> None:
    sound = programme("beats", 8_000, 2, seconds=1.5)
    one, other = metered(sound, 8_000), metered(sound, 8_000, block_frames)
    for name in ("lufs", "true_peak_dbtp", "rms_dbfs"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-4)


def test_silence_has_no_loudness_no_peak_and_no_level() -> None:
    assert metered(np.zeros((48_000, 2)), 48_000) == Loudness(None, None, None)
    assert metered(np.zeros((0, 2)), 48_000) == Loudness(None, None, None)


def test_a_clip_under_four_tenths_of_a_second_has_a_level_but_no_loudness() -> None:
    short = metered(programme("noise", 48_000, 2)[:19_199], 48_000)
    assert short.lufs is None
    assert short.rms_dbfs == pytest.approx(-20, abs=0.2)
    assert metered(programme("noise", 48_000, 2)[:19_200], 48_000).lufs is not None


@pytest.mark.parametrize("samplerate", [8_000, 44_100, 48_000, 96_000, 192_000])
def test_the_peak_between_samples_is_found(samplerate: int) -> None:
    """A sine at a quarter of the rate and 45 degrees: every sample is 3 dB below the crest."""
    tone = 0.5 * np.sin(np.pi / 2 * np.arange(20_000) + np.pi / 4) * np.hanning(20_000)
    assert np.abs(tone).max() == pytest.approx(0.5 / np.sqrt(2), rel=1e-3)
    assert metered(tone[:, None], samplerate).true_peak_dbtp == pytest.approx(20 * np.log10(0.5), abs=0.05)


@pytest.mark.parametrize("kind", ["noise", "tones", "beats"])
def test_no_peak_is_lost_by_skipping_quiet_stretches(kind: str) -> None:
    sound = programme(kind, 48_000, 2, seconds=6.0)
    sound = scipy.signal.sosfilt(scipy.signal.butter(8, 18_000, fs=48_000, output="sos"), sound, axis=0)
    crest = np.abs(scipy.signal.resample_poly(sound, 8, 1, axis=0, window=("kaiser", 10.0))).max()
    assert metered(sound, 48_000).true_peak_dbtp == pytest.approx(20 * np.log10(crest), abs=0.1)


def test_the_first_and_the_last_frame_count() -> None:
    for at in (0, 9_999):
        click = np.zeros((10_000, 1))
        click[at] = 0.8
        assert metered(click, 48_000).true_peak_dbtp == pytest.approx(20 * np.log10(0.8), abs=0.01)


def test_a_part_of_a_file_is_measured_by_itself(tmp_path: Path) -> None:
    sound = np.concatenate((programme("noise", 48_000, 2, 2.0), programme("noise", 48_000, 2, 2.0) * 0.1))
    soundfile.write(tmp_path / "x.wav", sound, 48_000, subtype="FLOAT")
    first, second = measure(str(tmp_path / "x.wav"), 0, 96_000), measure(str(tmp_path / "x.wav"), 96_000)
    assert first.lufs is not None
    assert second.lufs is not None
    assert first.lufs - second.lufs == pytest.approx(20.0, abs=0.1)


def test_a_gain_can_be_foreseen_even_near_the_absolute_gate() -> None:
    sound = programme("beats", 48_000, 2)
    meter = Meter(48_000, 2)
    meter.add(sound.astype(np.float32))
    meter.finish()
    for gain_db in (0.0, -20.0, -45.0, 12.0):
        assert meter.lufs_after(gain_db) == pytest.approx(metered(sound * 10 ** (gain_db / 20), 48_000).lufs, abs=0.01)
