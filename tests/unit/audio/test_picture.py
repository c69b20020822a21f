"""The picture of a clip and its take, as promises to whoever looks at it."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from PIL import Image

from bridge.audio import picture
from bridge.audio.picture import write_comparison
from bridge.errors import ClipError


def write(path: Path, frames: np.ndarray, samplerate: int = 22_050, subtype: str = "PCM_16") -> str:
    sf.write(path, frames, samplerate, subtype=subtype)
    return str(path)


def noise(frames: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(1).uniform(-0.5, 0.5, (frames, channels))


def drawn(tmp_path: Path, source: str, take: str, title: str = "A title") -> np.ndarray:
    png = tmp_path / "picture.png"
    write_comparison(source, take, str(png), title=title)
    with Image.open(png) as image:
        assert image.format == "PNG"
        assert image.size == (1_600, 900)
        return np.asarray(image)


def spectrogram(pixels: np.ndarray, panel: int) -> np.ndarray:
    top = picture._PANEL_TOPS[panel] + picture._SPECTRUM_TOP
    left, right = picture._LEFT, picture._RIGHT
    return pixels[top : top + picture._SPECTRUM_HEIGHT, left:right].astype(float).sum(axis=2)


def test_a_tone_stands_at_its_frequency_and_only_while_it_sounds(tmp_path: Path) -> None:
    time = np.arange(44_100) / 22_050
    source = write(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 1_000 * time) * (time < 1))
    image = spectrogram(drawn(tmp_path, source, source), 0)
    early, late = image[:, 100:500].mean(axis=1), image[:, 900:1_300].mean(axis=1)
    rows_hz = np.geomspace(30, 11_025, picture._SPECTRUM_HEIGHT + 1)[::-1]
    assert rows_hz[np.argmax(early)] == pytest.approx(1_000, rel=0.05)
    assert early.max() > 3 * late.max()


def test_the_quieter_take_is_darker_than_its_clip(tmp_path: Path) -> None:
    source, take = write(tmp_path / "a.wav", noise(30_000)), write(tmp_path / "b.wav", 0.02 * noise(30_000))
    pixels = drawn(tmp_path, source, take)
    assert spectrogram(pixels, 0).mean() > 1.3 * spectrogram(pixels, 1).mean()


def test_a_shorter_take_ends_earlier_on_the_same_time_axis(tmp_path: Path) -> None:
    source, take = write(tmp_path / "a.wav", noise(44_100)), write(tmp_path / "b.wav", noise(22_050))
    image = spectrogram(drawn(tmp_path, source, take), 1)
    assert image[:, 100:600].mean() > 2 * image[:, 800:].mean()


@pytest.mark.parametrize(
    ("frames", "samplerate"),
    [(noise(1), 48_000), (noise(2, 2), 8_000), (np.zeros((1, 1)), 8_000), (np.zeros((9_000, 2)), 192_000)],
    ids=["one frame", "two frames", "one silent frame", "silence"],
)
def test_next_to_nothing_is_drawn_too(tmp_path: Path, frames: np.ndarray, samplerate: int) -> None:
    source = write(tmp_path / "a.wav", frames, samplerate)
    drawn(tmp_path, source, write(tmp_path / "b.wav", noise(500), 44_100))
    drawn(tmp_path, source, source)


def test_any_name_and_any_title_can_be_shown(tmp_path: Path) -> None:
    source = write(tmp_path / f"{'long ' * 40} 🎹.wav", noise(5_000))
    drawn(tmp_path, source, source, title="line one\nline two " + "very " * 200)
    drawn(tmp_path, source, source, title="")


def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    def peak_bytes(seconds: int) -> int:
        path = tmp_path / f"{seconds}.wav"
        with sf.SoundFile(path, "w", 8_000, 1, subtype="PCM_16") as file:
            second = noise(8_000)
            for _ in range(seconds):
                file.write(second)
        tracemalloc.start()
        write_comparison(str(path), str(path), str(tmp_path / "p.png"), title="long")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    peak_bytes(5)
    assert peak_bytes(600) < 1.1 * peak_bytes(60) + 500_000


def test_frames_that_are_no_numbers_do_not_spoil_the_picture(tmp_path: Path) -> None:
    broken = noise(20_000)
    broken[5_000:5_010] = np.nan
    source = write(tmp_path / "a.wav", broken, subtype="FLOAT")
    assert spectrogram(drawn(tmp_path, source, source), 0).mean() > 100


def test_what_cannot_be_read_or_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    good = write(tmp_path / "a.wav", noise(100))
    text = tmp_path / "text.wav"
    text.write_text("no audio")
    for take, png, code in (
        (str(tmp_path / "gone.wav"), "p.png", "source_not_found"),
        (str(text), "p.png", "source_unreadable"),
        (good, "gone/p.png", "internal"),
    ):
        with pytest.raises(ClipError) as caught:
            write_comparison(good, take, str(tmp_path / png), title="")
        assert caught.value.code == code


def test_pillow_is_loaded_only_to_draw() -> None:
    script = "import sys, bridge.audio.picture; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
