"""A file is taken when it is whole, and only if it is audio."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bridge.audio.container import MAX_CHUNKS, check_whole, shown
from bridge.errors import ClipError, SourceUnfinished

KINDS = {
    "wav": ("WAV", "PCM_24"),
    "wavex": ("WAVEX", "PCM_16"),
    "float": ("WAV", "FLOAT"),
    "rf64": ("RF64", "PCM_24"),
    "w64": ("W64", "PCM_24"),
    "aiff": ("AIFF", "PCM_24"),
    "flac": ("FLAC", "PCM_24"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "caf": ("CAF", "PCM_24"),
}
NAMES = {"wavex": "wav", "float": "wav", "vorbis": "ogg", "opus": "ogg"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A whole file of each kind: two seconds of stereo noise at 48 kHz."""
    folder = tmp_path_factory.mktemp("whole")
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, (96_000, 2))
    for kind, (container, subtype) in KINDS.items():
        soundfile.write(folder / kind, noise, 48_000, format=container, subtype=subtype)
    return {kind: folder / kind for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_is_known_by_its_bytes_not_by_its_name(whole: dict[str, Path], kind: str) -> None:
    assert check_whole(str(whole[kind])) == NAMES.get(kind, kind)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "flac"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.77, 0.98])
def test_a_file_that_is_still_being_copied_is_unfinished(
    whole: dict[str, Path], tmp_path: Path, kind: str, share: float
) -> None:
    data = whole[kind].read_bytes()
    (tmp_path / "part").write_bytes(data[: int(share * len(data))])
    with pytest.raises(SourceUnfinished):
        check_whole(str(tmp_path / "part"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_that_has_only_just_begun_is_unfinished(whole: dict[str, Path], tmp_path: Path, kind: str) -> None:
    beginning = whole[kind].read_bytes()[:40]
    for count in range(41):
        (tmp_path / "part").write_bytes(beginning[:count])
        with pytest.raises(SourceUnfinished):
            check_whole(str(tmp_path / "part"))


def wav(data: bytes, *, riff_size: int | None = None, data_size: int | None = None, before: bytes = b"") -> bytes:
    """A 16-bit mono WAV, with the sizes that its writer claims."""
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 48_000, 96_000, 2, 16)
    claimed = len(data) if data_size is None else data_size
    body = b"WAVE" + before + form + b"data" + struct.pack("<I", claimed) + data
    return b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(100_000),
        wav(b""),
        wav(bytes(2_000), riff_size=0, data_size=0),
        wav(bytes(2_000), riff_size=36, data_size=0),
        wav(b"", riff_size=0xFFFFFFFF, data_size=0xFFFFFFFF),
        wav(b"")[:36] + bytes(4_000),
        wav(bytes(2_000), riff_size=3_000_000_000, data_size=2_999_999_964),
        wav(bytes(2_000), riff_size=2_600),
    ],
    ids=[
        "empty",
        "zeros",
        "no frames",
        "sizes not yet written",
        "sizes of an empty file",
        "streamed, nothing there",
        "header, then zeros",
        "claims hours",
        "the chunk behind the sound is missing",
    ],
)
def test_a_recording_under_way_is_unfinished(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.wav").write_bytes(data)
    with pytest.raises(SourceUnfinished) as caught:
        check_whole(str(tmp_path / "x.wav"))
    assert caught.value.code == "source_unreadable"
    assert "x.wav" in caught.value.message


@pytest.mark.parametrize(
    "data",
    [
        wav(bytes(2_000), riff_size=0xFFFFFFFF, data_size=0xFFFFFFFF),
        wav(bytes(2_000), riff_size=2_044),
        wav(bytes(2_001))[:-1] + b"\x01",
        wav(bytes(2_000)) + b"something left over",
        wav(bytes(2_000), before=b"JUNK" + struct.pack("<I", 27) + bytes(28)),
    ],
    ids=["streamed", "size counts its own header", "odd without a pad byte", "trailing bytes", "odd chunk before"],
)
def test_the_small_sins_of_real_writers_are_forgiven(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.wav").write_bytes(data)
    assert check_whole(str(tmp_path / "x.wav")) == "wav"


@pytest.mark.parametrize(
    ("data", "code", "word"),
    [
        (b"this is a note to myself\n" * 40, "source_unreadable", "text"),
        ("<html><title>Sorry, übermorgen</title>".encode() * 9, "source_unreadable", "text"),
        (bytes(range(256)) * 30, "source_unreadable", "no audio"),
        (b"RIFF\x10\0\0\0AVI LIST" + bytes(range(1, 90)), "source_unreadable", "RIFF"),
        (b"FORM\0\0\0\x10ILBM" + bytes(range(1, 90)), "source_unreadable", "IFF"),
        (b"\0\0\0\x20ftypM4A " + bytes(range(200)), "source_unsupported", "M4A"),
        (b"\xff\xf1\x50\x80" + bytes(range(200)), "source_unsupported", "AAC"),
        (b"MThd" + bytes(range(200)), "source_unsupported", "MIDI"),
    ],
)
def test_what_is_no_audio_is_refused_at_once_whatever_its_name(
    tmp_path: Path, data: bytes, code: str, word: str
) -> None:
    (tmp_path / "x.wav").write_bytes(data)
    with pytest.raises(ClipError) as caught:
        check_whole(str(tmp_path / "x.wav"))
    assert not isinstance(caught.value, SourceUnfinished)
    assert caught.value.code == code
    assert word in caught.value.message
    assert caught.value.hint


def test_what_is_not_an_ordinary_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    for path, word in ((tmp_path, "folder"), (tmp_path / "loop", "link"), (tmp_path / "pipe", "pipe")):
        with pytest.raises(ClipError, match=word) as caught:
            check_whole(str(path))
        assert caught.value.code == "source_unreadable"


@pytest.mark.parametrize("name", ["gone.wav", "gone/x.wav", "n" * 300 + ".wav", "nul\0byte.wav", "\ud800.wav"])
def test_a_file_that_is_not_there_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(ClipError) as caught:
        check_whole(f"{tmp_path}/{name}")
    assert caught.value.code == "source_not_found"


@pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="only root can become another account")
def test_a_file_that_may_not_be_read_says_so(whole: dict[str, Path], tmp_path: Path) -> None:
    secret = tmp_path / "mine.wav"
    secret.write_bytes(whole["wav"].read_bytes())
    secret.chmod(0o600)
    code = (
        "import os, sys\n"
        "from bridge.audio.container import check_whole\n"
        "from bridge.errors import ClipError\n"
        "os.chdir(sys.argv[1]); os.setuid(65534)\n"
        "try: check_whole('mine.wav')\n"
        "except ClipError as error: print(error.code, error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("source_unreadable")
    assert "not allowed" in done.stdout


@pytest.mark.parametrize(
    "name", ["kick 🥁.wav", "two\nlines.wav", "n" * 240 + ".wav", "\udcff\udcfe.wav", "- 'x' \".wav"]
)
def test_any_name_that_the_system_allows_will_do(whole: dict[str, Path], tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(whole["wav"].read_bytes())
    assert check_whole(str(tmp_path / name)) == "wav"
    assert shown(str(tmp_path / name)).isprintable()


def test_tags_before_an_mp3_or_a_flac_do_not_hide_it(whole: dict[str, Path], tmp_path: Path) -> None:
    tag = b"ID3\x04\0\0" + bytes([0, 0, 4, 0]) + bytes(512)
    for kind in ("mp3", "flac"):
        (tmp_path / kind).write_bytes(tag + whole[kind].read_bytes())
        assert check_whole(str(tmp_path / kind)) == kind
    (tmp_path / "tag").write_bytes(tag[:300])
    with pytest.raises(SourceUnfinished):
        check_whole(str(tmp_path / "tag"))


def test_a_file_of_nothing_but_chunks_is_given_up_on(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(b"RIFF\0\0\0\x01WAVE" + b"JUNK\0\0\0\0" * (MAX_CHUNKS + 5))
    with pytest.raises(ClipError, match="chunks") as caught:
        check_whole(str(tmp_path / "x.wav"))
    assert not isinstance(caught.value, SourceUnfinished)


def test_a_flac_without_any_sound_yet_is_unfinished(whole: dict[str, Path], tmp_path: Path) -> None:
    data = whole["flac"].read_bytes()
    (tmp_path / "x.flac").write_bytes(data[:42])
    with pytest.raises(SourceUnfinished):
        check_whole(str(tmp_path / "x.flac"))


def test_ogg_with_the_page_name_inside_its_sound_is_not_misread(whole: dict[str, Path], tmp_path: Path) -> None:
    data = bytearray(whole["vorbis"].read_bytes())
    last = data.rindex(b"OggS")
    data[last + 300 : last + 310] = b"OggS\x07nonse"
    (tmp_path / "x.ogg").write_bytes(data)
    assert check_whole(str(tmp_path / "x.ogg")) == "ogg"
