"""Audio in the body of a request: kept byte for byte whatever way it is cut into blocks, and never half."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.errors import ClipError
from bridge.web.answers import WebError
from bridge.web.uploads import Upload, boundary_of, file_name, receive, sweep

BOUNDARY = b"cut-here"
# looks like a boundary again and again, and is none
AUDIO = b"RIFF\r\n--cut-her\r\n--cut-hereX\r\n-" + bytes(range(256)) + b"\r\n--cut-her"
REQUEST = {"preset": "lo-fi-tape", "prompt": "größer"}


def _part(name: str, content: bytes, file: str | None = None) -> bytes:
    named = f'form-data; name="{name}"' + (f'; filename="{file}"' if file is not None else "")
    return b"--" + BOUNDARY + f"\r\nContent-Disposition: {named}\r\n\r\n".encode() + content + b"\r\n"


END = b"--" + BOUNDARY + b"--\r\n"
BODY = _part("request", json.dumps(REQUEST).encode()) + _part("audio", AUDIO, "Kick (1).wav") + END


async def _blocks(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def _received(body: bytes, folder: Path, *, size: int = 65_536, max_bytes: int = 1 << 30) -> Upload:
    return await receive(_blocks(body, size), BOUNDARY, folder, max_bytes=max_bytes)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 11, 64, 1_000_000])
async def test_an_upload_is_kept_byte_for_byte_however_it_is_cut_into_blocks(size: int, tmp_path: Path) -> None:
    upload = await _received(BODY, tmp_path, size=size)
    assert upload.audio.read_bytes() == AUDIO
    assert upload.audio.name == "Kick (1).wav"
    assert upload.request == REQUEST
    assert upload.sha256 == hashlib.sha256(AUDIO).hexdigest()


async def test_the_audio_may_come_before_its_request_and_a_request_may_be_left_out(tmp_path: Path) -> None:
    turned = _part("audio", AUDIO, "a.wav") + _part("request", b'{"strength": 0}') + END
    assert (await _received(turned, tmp_path)).request == {"strength": 0}
    assert (await _received(_part("audio", AUDIO, "a.wav") + END, tmp_path)).request == {}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"no boundary at all", 400),
        (BODY[:-8], 400),
        (BODY[: len(BODY) // 2], 400),
        (_part("audio", AUDIO, "a.wav"), 400),
        (_part("audio", AUDIO, "a.wav") + _part("request", b"{") + END, 400),
        (_part("audio", AUDIO, "a.wav") + _part("request", b"[]") + END, 400),
        (_part("audio", AUDIO, "a.wav") + _part("request", b"\xff") + END, 400),
        (b"--cut-here\r\n" + b"X: y\r\n" * 9 + b"\r\n\r\n" + END, 400),
        (b"--cut-here\r\nX: " + b"y" * 5_000 + b"\r\n\r\n" + END, 400),
        (_part("request", b" " * (5 << 20)) + END, 413),
        (_part("audio", b"x" * 3_000_001, "a.wav") + END, 413),
    ],
)
async def test_a_body_that_is_malformed_or_too_large_leaves_nothing_behind(
    body: bytes, status: int, tmp_path: Path
) -> None:
    with pytest.raises(WebError) as refused:
        await _received(body, tmp_path, max_bytes=3_000_000)
    assert refused.value.status == status
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "body",
    [
        END,
        _part("request", b"{}") + END,
        _part("audio", AUDIO, "a.wav") + _part("audio", AUDIO, "b.wav") + END,
        _part("request", b"{}") + _part("request", b"{}") + _part("audio", AUDIO, "a.wav") + END,
        _part("audio", AUDIO, "a.wav") + _part("video", AUDIO, "b.mov") + END,
        _part("audio", AUDIO, "a.wav") + b"--cut-here\r\nX-Nameless: yes\r\n\r\n\r\n" + END,
    ],
)
async def test_other_parts_than_one_audio_and_one_request_are_refused(body: bytes, tmp_path: Path) -> None:
    with pytest.raises(ClipError) as refused:
        await _received(body, tmp_path)
    assert refused.value.code == "bad_request"
    assert list(tmp_path.iterdir()) == []


async def test_a_sender_who_goes_away_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield BODY[:-100]
        raise ConnectionResetError

    with pytest.raises(ClipError):
        await receive(broken(), BOUNDARY, tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_memory_does_not_grow_with_the_upload(tmp_path: Path) -> None:
    block = b"\x01" * 65_536

    async def large() -> AsyncIterator[bytes]:
        yield _part("audio", b"", "long.wav")[:-2]
        for _ in range(1_024):
            yield block
        yield b"\r\n" + END

    tracemalloc.start()
    try:
        upload = await receive(large(), BOUNDARY, tmp_path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert upload.audio.stat().st_size == 64 << 20
    assert peak_bytes < 8 << 20


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Kick.wav", "Kick.wav"),
        ("Größe 🎹.flac", "Größe 🎹.flac"),
        ("/etc/passwd", "passwd"),
        ("../../config.toml", "config.toml"),
        ("C:\\Users\\me\\Kick.wav", "Kick.wav"),
        ("..", "clip"),
        ("", "clip"),
        (".wav", ".wav"),
        ("a:b|c?.wav", "a_b_c_.wav"),
        ("say %22hey%22%0A.wav", "say _hey__.wav"),
        ("tab\there\x00\n.wav", "tab_here__.wav"),
        ("con.wav", "_con.wav"),
        ("trailing. . ", "trailing"),
        ("x" * 300 + ".wav", "x" * 196 + ".wav"),
        ("🎹" * 100 + ".wav", "🎹" * 49 + ".wav"),
        ("a." + "b" * 300, ("a." + "b" * 300)[:200]),
    ],
)
def test_an_uploaded_file_keeps_its_name_as_far_as_every_system_can_hold_it(given: str, kept: str) -> None:
    assert file_name(given.encode()) == kept


def test_a_name_in_an_old_encoding_is_still_a_name() -> None:
    assert file_name("Größe.wav".encode("latin-1")) == "Größe.wav"


async def test_the_same_audio_for_the_same_client_id_has_one_place_and_any_other_a_place_of_its_own(
    tmp_path: Path,
) -> None:
    async def kept(client_id: str | None, audio: bytes = AUDIO, name: str = "a.wav") -> tuple[Path, bool]:
        request = {} if client_id is None else {"client_id": client_id}
        body = _part("audio", audio, name) + _part("request", json.dumps(request).encode()) + END
        return (await _received(body, tmp_path)).keep(tmp_path)

    first, is_new = await kept("me/1")
    assert is_new
    assert await kept("me/1") == (first, False)
    others = [
        await kept("me/2"),
        await kept("me/1", b"other"),
        await kept("me/1", name="b.wav"),
        await kept(None),
        await kept(None),
    ]
    assert len({first, *(path for path, _ in others)}) == 6
    assert all(is_new for _, is_new in others)
    assert len(_files(tmp_path)) == 6


def test_what_an_earlier_process_left_unfinished_is_swept_away_and_nothing_else(tmp_path: Path) -> None:
    sweep(tmp_path / "not there yet")
    for name in ("incoming-abc", "abc"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.wav").write_bytes(AUDIO)
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["abc"]


@pytest.mark.parametrize(
    "kind", ["application/json", "", "multipart/mixed; boundary=x", "text/plain; boundary=multipart/form-data"]
)
def test_other_bodies_are_no_forms(kind: str) -> None:
    assert boundary_of(kind) is None


def test_a_form_names_its_boundary() -> None:
    assert boundary_of('Multipart/Form-Data; charset=utf-8; boundary="cut-here"') == BOUNDARY
    for kind in ("multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "x" * 71):
        with pytest.raises(WebError):
            boundary_of(kind)
