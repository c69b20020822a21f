"""A take gets its name: whole, beside nothing that was there before, and at most once."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge.pipeline import deliver


def hidden(folder: Path, content: bytes = b"take") -> Path:
    file = folder / ".clipbridge-x-1-take.tmp"
    file.write_bytes(content)
    return file


def first(folder: Path, number: int = 1) -> str:
    return next(deliver.free_stems(folder, "clip", "tape", number))


def test_the_first_free_name_is_the_plain_one(tmp_path: Path) -> None:
    assert first(tmp_path) == "clip [tape]"
    assert first(tmp_path, 3) == "clip [tape] take 3"


@pytest.mark.parametrize("ending", [".wav", ".clipbridge.json", " raw.wav"])
def test_a_name_of_which_anything_is_there_is_left_alone(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"clip [tape]{ending}").write_bytes(b"a person's own")
    assert first(tmp_path) == "clip [tape] take 2"


def test_also_a_link_to_nowhere_has_the_name(tmp_path: Path) -> None:
    (tmp_path / "clip [tape].wav").symlink_to(tmp_path / "gone")
    assert first(tmp_path) == "clip [tape] take 2"


def test_names_go_on_as_long_as_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "clip [tape] take 3.wav").touch()
    stems = list(itertools.islice(deliver.free_stems(tmp_path, "clip", "tape", 2), 3))
    assert stems == ["clip [tape] take 2", "clip [tape] take 4", "clip [tape] take 5"]


def test_a_take_moves_whole_to_its_name(tmp_path: Path) -> None:
    target = tmp_path / "clip [tape].wav"
    deliver.place(hidden(tmp_path), target)
    assert target.read_bytes() == b"take"
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "clip [tape].wav"
    target.write_bytes(b"a person's own")
    made = hidden(tmp_path)
    with pytest.raises(FileExistsError):
        deliver.place(made, target)
    assert target.read_bytes() == b"a person's own"
    assert made.read_bytes() == b"take"


@pytest.mark.skipif(sys.platform == "win32", reason="only on systems where links are made")
@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EMLINK])
def test_on_a_disk_without_hard_links_nothing_is_overwritten_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuses(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuses)
    target, other = tmp_path / "clip [tape].wav", tmp_path / "clip [tape] take 2.wav"
    deliver.place(hidden(tmp_path), target)
    assert target.read_bytes() == b"take"
    other.write_bytes(b"a person's own")
    with pytest.raises(FileExistsError):
        deliver.place(hidden(tmp_path), other)
    assert other.read_bytes() == b"a person's own"


def test_any_other_trouble_of_the_disk_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        deliver.place(hidden(tmp_path), tmp_path / "gone" / "clip.wav")


def test_the_provenance_lies_beside_its_take(tmp_path: Path) -> None:
    take = tmp_path / "clip [tape] take 2.wav"
    deliver.write_side_file(take, {"prompt": "wärm"}, tmp_path / ".side.tmp")
    side = tmp_path / "clip [tape] take 2.clipbridge.json"
    assert json.loads(side.read_text("utf-8")) == {"prompt": "wärm"}
    assert "wärm" in side.read_text("utf-8")
    assert [path.name for path in tmp_path.iterdir()] == [side.name]


def test_a_dot_in_a_clips_name_is_no_ending(tmp_path: Path) -> None:
    deliver.write_side_file(tmp_path / "loop v1.2 [tape].wav", {}, tmp_path / ".side.tmp")
    assert (tmp_path / "loop v1.2 [tape].clipbridge.json").is_file()


# ---- after a crash ----------------------------------------------------------------------------------------------------

SHA256 = hashlib.sha256(b"take").hexdigest()


def test_a_take_that_has_its_name_is_known_again(tmp_path: Path) -> None:
    made, target = hidden(tmp_path), tmp_path / "clip [tape].wav"
    assert not deliver.is_placed(made, target, SHA256)
    deliver.place(made, target)
    assert deliver.is_placed(made, target, SHA256)
    target.write_bytes(b"edited by a person")
    assert not deliver.is_placed(made, target, SHA256)


def test_a_take_is_known_that_got_its_name_a_moment_before_the_crash(tmp_path: Path) -> None:
    made, target = hidden(tmp_path), tmp_path / "clip [tape].wav"
    os.link(made, target)  # the crash comes before the hidden name is gone
    assert deliver.is_placed(made, target, SHA256)
    deliver.place_rest(made, target)
    assert target.read_bytes() == b"take"
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_the_same_take_of_another_job_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    target = tmp_path / "clip [tape].wav"
    target.write_bytes(b"take")  # of another job, which asked for the very same
    assert not deliver.is_placed(hidden(tmp_path), target, SHA256)


def test_what_a_crash_kept_from_its_name_gets_it_later(tmp_path: Path) -> None:
    made, target = hidden(tmp_path), tmp_path / "clip [tape] raw.wav"
    deliver.place_rest(made, target)
    assert target.read_bytes() == b"take"
    deliver.place_rest(made, target)  # nothing left to do
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
