"""The home folder: where things lie, who holds it, and how a running daemon is found."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.errors import ClipError
from bridge.home import Home, find_daemon, is_running, living_daemon, write_atomically

posix = pytest.mark.skipif(sys.platform == "win32", reason="only on systems with permission bits")


@pytest.fixture
def ours(home: Path) -> Home:
    made = Home.at(home)
    made.prepare()
    return made


@contextmanager
def another_process() -> Iterator[int]:
    """A process that lives until the block ends."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        yield process.pid
    finally:
        process.communicate(b"")


def gone_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


# ---- where things lie -------------------------------------------------------------------------------------------------


def test_an_explicit_home_holds_everything(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "x")
    assert home.drop_dir == tmp_path / "x" / "Drop"
    assert home.results_dir == tmp_path / "x" / "Results"
    assert home.database.parent == home.config.parent == home.root
    assert not home.root.exists()


def test_the_variable_names_the_home_where_nothing_else_does(home: Path, tmp_path: Path) -> None:
    assert Home.at(None).root == home
    assert Home.at(tmp_path / "other").root == tmp_path / "other"


def test_without_a_named_home_drop_and_results_lie_where_people_see_them(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLIPBRIDGE_HOME")
    default = Home.at(None)
    assert default.root == Path.home() / ".clipbridge"
    assert default.drop_dir.parts[-3:] == ("Music", "Clipbridge", "Drop")
    assert default.results_dir.parts[-3:] == ("Music", "Clipbridge", "Results")


def test_results_may_lie_elsewhere(ours: Home, tmp_path: Path) -> None:
    assert ours.with_results(None) == ours
    assert ours.with_results(str(tmp_path / "takes")).results_dir == tmp_path / "takes"


@posix
def test_the_home_is_for_its_owner_only(ours: Home) -> None:
    assert stat.S_IMODE(ours.root.stat().st_mode) == 0o700


def test_a_home_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ClipError, match="could not be made ready") as caught:
        Home.at(tmp_path / "file" / "home").prepare()
    assert caught.value.hint


# ---- what no request may touch ----------------------------------------------------------------------------------------


def test_no_request_reaches_into_the_home_but_for_drop_and_results(ours: Home, tmp_path: Path) -> None:
    inside = [
        ours.root,
        ours.database,
        ours.job_dir("x") / "source.wav",
        ours.root / "Results" / ".." / "clipbridge.db",
    ]
    outside = [
        ours.results_dir,
        ours.results_dir / "a.wav",
        ours.drop_dir / "x" / "a.wav",
        tmp_path / "a.wav",
        ours.root.parent,
    ]
    assert all(ours.reaches_into(path) for path in inside)
    assert not any(ours.reaches_into(path) for path in outside)


def test_a_link_into_the_home_is_seen_through(ours: Home, tmp_path: Path) -> None:
    (tmp_path / "innocent").symlink_to(ours.root, target_is_directory=True)
    (ours.results_dir / "way-out").symlink_to(ours.jobs_dir, target_is_directory=True)
    assert ours.reaches_into(tmp_path / "innocent" / "clipbridge.db")
    assert ours.reaches_into(ours.results_dir / "way-out" / "x")


def test_a_loop_of_links_is_no_trouble(ours: Home, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert not ours.reaches_into(tmp_path / "a" / "clip.wav")


# ---- one daemon a home ------------------------------------------------------------------------------------------------


def test_a_second_daemon_is_told_which_process_holds_the_home(ours: Home) -> None:
    with ours.held():
        assert ours.holder() == os.getpid()
        with pytest.raises(ClipError, match=str(os.getpid())), Home.at(ours.root).held():
            pytest.fail("two held one home")
    assert ours.holder() is None
    with ours.held():
        pass


def test_a_home_whose_holder_was_killed_is_free_again(ours: Home) -> None:
    program = (
        "import sys; from bridge.home import Home\n"
        "with Home.at(sys.argv[1]).held():\n    print('held', flush=True); sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(ours.root)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(ClipError, match=str(process.pid)), ours.held():
        pytest.fail("two held one home")
    process.kill()
    process.communicate()
    with ours.held():
        assert ours.holder() == os.getpid()


# ---- being found ------------------------------------------------------------------------------------------------------


def test_a_daemon_is_found_by_its_home(ours: Home) -> None:
    ours.announce({"pid": os.getpid(), "token": "secret"})
    assert find_daemon(str(ours.root)) == {"pid": os.getpid(), "token": "secret"}
    if sys.platform != "win32":
        assert stat.S_IMODE(ours.discovery.stat().st_mode) == 0o600
    ours.withdraw()
    assert find_daemon(str(ours.root)) is None
    assert not ours.discovery.exists()


def test_a_daw_without_our_environment_finds_it_at_the_default_place(
    ours: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours.announce({"pid": os.getpid(), "home": str(ours.root)})
    monkeypatch.delenv("CLIPBRIDGE_HOME")
    found = find_daemon(None)
    assert found is not None
    assert found["home"] == str(ours.root)
    ours.withdraw()
    assert find_daemon(None) is None


def test_the_pointer_of_a_living_daemon_is_left_alone(ours: Home) -> None:
    pointer = Path.home() / ".clipbridge" / "daemon.json"
    pointer.parent.mkdir()
    with another_process() as pid:
        pointer.write_text(json.dumps({"pid": pid}))
        ours.announce({"pid": os.getpid()})
        assert json.loads(pointer.read_text()) == {"pid": pid}
        ours.withdraw()
        assert json.loads(pointer.read_text()) == {"pid": pid}


def test_the_pointer_of_a_dead_daemon_is_replaced(ours: Home) -> None:
    pointer = Path.home() / ".clipbridge" / "daemon.json"
    pointer.parent.mkdir()
    pointer.write_text(json.dumps({"pid": gone_pid()}))
    assert living_daemon(pointer) is None
    ours.announce({"pid": os.getpid()})
    assert json.loads(pointer.read_text()) == {"pid": os.getpid()}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"pid": "1"}', '{"pid": -1}', '{"pid": 0}', "{}"])
def test_a_broken_discovery_file_is_no_daemon(ours: Home, text: str) -> None:
    ours.discovery.write_text(text)
    assert ours.daemon() is None


def test_a_process_lives_until_it_ends() -> None:
    assert is_running(os.getpid())
    with another_process() as pid:
        assert is_running(pid)
    assert not is_running(gone_pid())


# ---- files that are never half ----------------------------------------------------------------------------------------


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_atomically(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(file, "half \udcff")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
