"""Files are put away without ever being lost or put over another, on whatever file system they lie."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge.job import Problem
from bridge.triggers import folder_move
from bridge.triggers.folder_move import move_without_replacing, put_away, report_of

PROBLEM = Problem(code="moderated", message="The service said no.", hint="Ask for something else.", charged="yes")


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "Drop"
    folder.mkdir()
    return folder


@pytest.fixture(params=["links", "no links", "another file system"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Refuses what such a file system refuses."""
    kind: str = request.param
    if kind != "links":
        link = os.link

        def refused(source: Any, target: Any, **more: Any) -> None:
            if kind == "another file system" and Path(source).name.startswith("."):
                link(source, target, **more)
                return
            raise OSError(errno.EXDEV if kind == "another file system" else errno.EPERM, "refused")

        monkeypatch.setattr(os, "link", refused)
    return kind


def test_a_file_moves_with_its_content_and_time(drop: Path, file_system: str) -> None:
    source = drop / "loop.wav"
    source.write_bytes(b"sound")
    os.utime(source, ns=(10**18, 10**18))
    assert put_away(source, drop / "_Done") == drop / "_Done" / "loop.wav"
    assert (drop / "_Done" / "loop.wav").read_bytes() == b"sound"
    assert (drop / "_Done" / "loop.wav").stat().st_mtime_ns == 10**18
    assert [path.name for path in drop.iterdir()] == ["_Done"]
    assert [path.name for path in (drop / "_Done").iterdir()] == ["loop.wav"]


def test_nothing_is_ever_replaced(drop: Path, file_system: str) -> None:
    done = drop / "_Done"
    done.mkdir()
    (done / "loop.wav").write_bytes(b"first")
    (done / "loop (2).wav").symlink_to("nowhere")
    (drop / "loop.wav").write_bytes(b"third")
    with pytest.raises(FileExistsError):
        move_without_replacing(drop / "loop.wav", done / "loop.wav")
    assert put_away(drop / "loop.wav", done) == done / "loop (3).wav"
    assert (done / "loop.wav").read_bytes() == b"first"
    assert (done / "loop (3).wav").read_bytes() == b"third"


def test_side_file_and_provenance_follow_under_the_same_number(drop: Path) -> None:
    done = drop / "_Done"
    done.mkdir()
    (done / "loop.wav.json").write_text("taken")
    for name in ("loop.wav", "loop.wav.json", "loop.clipbridge.json"):
        (drop / name).write_text(name)
    put_away(drop / "loop.wav", done)
    assert sorted(path.name for path in done.iterdir()) == [
        "loop (2).clipbridge.json", "loop (2).wav", "loop (2).wav.json", "loop.wav.json",
    ]  # fmt: skip


def test_a_report_lies_beside_what_failed(drop: Path) -> None:
    (drop / "loop.wav").write_bytes(b"sound")
    put_away(drop / "loop.wav", drop / "_Failed", report_of(PROBLEM, "loop.wav", "abc", charged_usd=0.2))
    text = (drop / "_Failed" / "loop.wav.error.txt").read_text("utf-8")
    for words in ("moderated", "The service said no.", "Ask for something else.", "charged ($0.20)", "abc"):
        assert words in text


def test_a_move_that_was_cut_short_is_finished_and_not_repeated(drop: Path) -> None:
    failed, report = drop / "_Failed", report_of(PROBLEM, "loop.wav", "abc")
    failed.mkdir()
    (drop / "loop.wav").write_bytes(b"sound")
    # ended after the report was written
    (failed / "loop.wav.error.txt").write_text(report, "utf-8")
    put_away(drop / "loop.wav", failed, report)
    assert sorted(path.name for path in failed.iterdir()) == ["loop.wav", "loop.wav.error.txt"]
    # ended between the new name and the old one
    os.link(failed / "loop.wav", drop / "loop.wav")
    put_away(drop / "loop.wav", failed, report)
    assert sorted(path.name for path in failed.iterdir()) == ["loop.wav", "loop.wav.error.txt"]
    assert not (drop / "loop.wav").exists()


def test_what_cannot_be_moved_stays_as_it_was(drop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (drop / "loop.wav").write_bytes(b"sound")

    def refused(_source: Path, _target: Path) -> None:
        raise PermissionError(errno.EACCES, "in use")

    monkeypatch.setattr(folder_move, "move_without_replacing", refused)
    with pytest.raises(PermissionError):
        put_away(drop / "loop.wav", drop / "_Failed", "a report")
    assert (drop / "loop.wav").read_bytes() == b"sound"
    assert list((drop / "_Failed").iterdir()) == []


def test_a_file_that_changes_while_it_is_copied_is_not_moved(drop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (drop / "loop.wav").write_bytes(b"sound")
    copy = folder_move.shutil.copyfileobj

    def disturbed(*arguments: Any) -> None:
        copy(*arguments)
        with (drop / "loop.wav").open("ab") as file:
            file.write(b" and more")

    monkeypatch.setattr(folder_move.shutil, "copyfileobj", disturbed)
    monkeypatch.setattr(os, "link", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EXDEV, "far")))
    with pytest.raises(OSError, match="changed"):
        put_away(drop / "loop.wav", drop / "_Done")
    assert (drop / "loop.wav").read_bytes() == b"sound and more"
    assert list((drop / "_Done").iterdir()) == []


def test_what_is_gone_is_no_trouble(drop: Path) -> None:
    assert put_away(drop / "gone.wav", drop / "_Done") is None


def test_a_link_leads_to_the_same_file_from_its_new_place(drop: Path, tmp_path: Path) -> None:
    (tmp_path / "clip.wav").write_bytes(b"sound")
    (drop / "link.wav").symlink_to("../clip.wav")
    put_away(drop / "link.wav", drop / "_Done")
    assert (drop / "_Done" / "link.wav").is_symlink()
    assert (drop / "_Done" / "link.wav").read_bytes() == b"sound"


def test_a_folder_moves_with_what_is_in_it(drop: Path) -> None:
    (drop / "_Failed" / "x.wav").mkdir(parents=True)
    (drop / "x.wav").mkdir()
    (drop / "x.wav" / "inside").write_text("kept")
    put_away(drop / "x.wav", drop / "_Failed", "a report")
    assert (drop / "_Failed" / "x (2).wav" / "inside").read_text() == "kept"


@pytest.mark.skipif(sys.platform == "win32", reason="only on systems with names of 255 bytes")
def test_the_longest_names_find_room(drop: Path) -> None:
    name = "ä" * 125 + ".wav"
    for number in (1, 2):
        (drop / name).write_bytes(b"sound")
        put_away(drop / name, drop / "_Failed", f"report {number}")
    assert len(list((drop / "_Failed").iterdir())) == 4
