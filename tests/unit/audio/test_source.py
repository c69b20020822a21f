"""What a person drops is understood, or refused in a sentence, and never half taken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bridge.audio.source import inspect
from bridge.errors import ClipError, SourceUnfinished

FRAMES = 70_001


def written(path: Path, container: str, subtype: str, *, channels: int = 2, samplerate: int = 48_000) -> str:
    """The path of a new file with FRAMES frames of noise."""
    noise = np.random.default_rng(3).uniform(-0.3, 0.3, (FRAMES, channels))
    soundfile.write(path, noise, samplerate, format=container, subtype=subtype)
    return str(path)


@pytest.mark.parametrize(
    ("container", "subtype", "take_subtype", "lossy"),
    [
        ("WAV", "PCM_U8", "PCM_U8", False),
        ("WAV", "PCM_16", "PCM_16", False),
        ("WAV", "PCM_24", "PCM_24", False),
        ("WAV", "PCM_32", "PCM_32", False),
        ("WAV", "FLOAT", "FLOAT", False),
        ("WAV", "DOUBLE", "DOUBLE", False),
        ("RF64", "PCM_24", "PCM_24", False),
        ("W64", "FLOAT", "FLOAT", False),
        ("AIFF", "PCM_S8", "PCM_U8", False),
        ("AIFF", "PCM_24", "PCM_24", False),
        ("FLAC", "PCM_S8", "PCM_U8", False),
        ("FLAC", "PCM_16", "PCM_16", False),
        ("FLAC", "PCM_24", "PCM_24", False),
        ("CAF", "PCM_32", "PCM_32", False),
        ("CAF", "ALAC_24", "PCM_24", False),
        ("WAV", "ULAW", "PCM_24", True),
        ("WAV", "IMA_ADPCM", "PCM_24", True),
        ("OGG", "VORBIS", "PCM_24", True),
        ("OGG", "OPUS", "PCM_24", True),
        ("MP3", "MPEG_LAYER_III", "PCM_24", True),
    ],
)
def test_a_take_keeps_the_sample_format_of_a_lossless_source(
    tmp_path: Path, container: str, subtype: str, take_subtype: str, lossy: bool
) -> None:
    path = written(tmp_path / "x", container, subtype)
    source = inspect(path)
    assert (source.subtype, source.take_subtype, source.lossy) == (subtype, take_subtype, lossy)
    assert (source.samplerate, source.channels) == (48_000, 2)
    assert source.frames == len(soundfile.read(path)[0])
    assert source.frames >= FRAMES
    assert (source.size_bytes, source.modified_ns) == (Path(path).stat().st_size, Path(path).stat().st_mtime_ns)


@pytest.mark.parametrize(("container", "subtype"), [("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS")])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_half_a_compressed_file_is_unfinished(tmp_path: Path, container: str, subtype: str, share: float) -> None:
    path = Path(written(tmp_path / "x", container, subtype))
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.raises(SourceUnfinished):
        inspect(str(path))


def test_a_flac_cut_anywhere_is_unfinished(tmp_path: Path) -> None:
    data = Path(written(tmp_path / "x", "FLAC", "PCM_24")).read_bytes()
    for end in np.linspace(0, len(data) - 1, 40, dtype=int):
        (tmp_path / "part").write_bytes(data[:end])
        with pytest.raises(SourceUnfinished):
            inspect(str(tmp_path / "part"))


def test_an_mp3_cut_behind_its_header_is_unfinished_even_if_its_size_is_not_promised(tmp_path: Path) -> None:
    path = Path(written(tmp_path / "x", "MP3", "MPEG_LAYER_III"))
    data = bytearray(path.read_bytes())
    at = max(data.find(b"Xing"), data.find(b"Info"))
    data[at + 7] &= ~2  # only the number of frames remains promised
    data[at + 12 : at + 16] = b"\0\0\0\0"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(SourceUnfinished, match="breaks off"):
        inspect(str(path))


def test_more_than_two_channels_are_refused_with_the_limit(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="6 channels; clipbridge takes mono and stereo") as caught:
        inspect(written(tmp_path / "x.wav", "WAV", "PCM_24", channels=6))
    assert caught.value.code == "source_unsupported"


@pytest.mark.parametrize("samplerate", [3_999, 384_001])
def test_an_odd_sample_rate_is_refused_with_the_limits(tmp_path: Path, samplerate: int) -> None:
    with pytest.raises(ClipError, match="4,000 to 384,000 Hz") as caught:
        inspect(written(tmp_path / "x.wav", "WAV", "PCM_24", samplerate=samplerate))
    assert caught.value.code == "source_unsupported"


@pytest.mark.parametrize("samplerate", [4_000, 8_000, 192_000, 384_000])
def test_the_rates_at_the_limits_are_taken(tmp_path: Path, samplerate: int) -> None:
    assert inspect(written(tmp_path / "x.wav", "WAV", "PCM_24", samplerate=samplerate)).samplerate == samplerate


@pytest.mark.parametrize("name", ["kick 🥁.wav", "two\nlines.wav", "n" * 240 + ".wav", "\udcff\udcfe.wav"])
def test_any_name_that_the_system_allows_will_do(tmp_path: Path, name: str) -> None:
    written(tmp_path / "x.wav", "WAV", "PCM_24").encode()
    (tmp_path / "x.wav").rename(tmp_path / name)
    assert inspect(str(tmp_path / name)).frames == FRAMES


def test_a_file_that_only_looks_like_audio_is_unreadable_and_not_waited_for(tmp_path: Path) -> None:
    path = Path(written(tmp_path / "x.wav", "WAV", "PCM_24"))
    data = bytearray(path.read_bytes())
    data[20:22] = b"\x99\x99"  # a sample format that nobody knows
    path.write_bytes(data)
    with pytest.raises(ClipError) as caught:
        inspect(str(path))
    assert caught.value.code == "source_unreadable"
    assert not isinstance(caught.value, SourceUnfinished)


def test_a_header_that_claims_hours_costs_no_memory(tmp_path: Path) -> None:
    """A sparse file of 3 GB is inspected by its header alone, a claim that is not covered is never believed."""
    path = Path(written(tmp_path / "x.wav", "WAV", "PCM_24"))
    data = bytearray(path.read_bytes())
    data[4:8], data[40:44] = (3_000_000_036).to_bytes(4, "little"), (3_000_000_000).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(SourceUnfinished):
        inspect(str(path))
    os.truncate(path, 3_000_000_044)
    code = (
        "import resource, sys\n"
        "from bridge.audio.source import inspect\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))\n"
        "print(inspect(sys.argv[1]).frames)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 500_000_000


MUTATE = """
import sys
import numpy as np
from bridge.audio.source import inspect
from bridge.errors import ClipError
rng = np.random.default_rng(int(sys.argv[2]))
whole = open(sys.argv[1], "rb").read()
for _ in range(150):
    data = np.frombuffer(whole, np.uint8).copy()
    reach = 120 if rng.random() < 0.7 else len(data)
    data[rng.integers(0, reach, rng.integers(1, 12))] = rng.integers(0, 256)
    with open(sys.argv[1] + ".bent", "wb") as file:
        file.write(data.tobytes())
    try:
        inspect(sys.argv[1] + ".bent")
    except ClipError:
        pass
print("survived")
"""


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        ("WAV", "PCM_24"),
        ("WAV", "IMA_ADPCM"),
        ("RF64", "PCM_16"),
        ("W64", "PCM_24"),
        ("AIFF", "PCM_24"),
        ("CAF", "ALAC_16"),
        ("FLAC", "PCM_24"),
        ("OGG", "VORBIS"),
        ("MP3", "MPEG_LAYER_III"),
    ],
)
def test_bent_files_are_taken_or_refused_but_nothing_falls_over(tmp_path: Path, container: str, subtype: str) -> None:
    noise = np.random.default_rng(3).uniform(-0.3, 0.3, (6_000, 2))
    soundfile.write(tmp_path / "x", noise, 48_000, format=container, subtype=subtype)
    done = subprocess.run(
        [sys.executable, "-c", MUTATE, str(tmp_path / "x"), "5"], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "survived", done.stderr[-2_000:]
