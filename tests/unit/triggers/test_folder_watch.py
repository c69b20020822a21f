"""News of a folder come as hints, and go on coming whatever happens to the folder and to the watcher."""

from __future__ import annotations

import logging
import queue
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.triggers.folder_watch import Watcher

DEADLINE_SECONDS = 10.0
pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only on Linux do events name files and tell of a close"
)


class Hints:
    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[str, bool]] = queue.Queue()

    def __call__(self, rel: str, closed: bool) -> None:
        self._queue.put((rel, closed))

    def until(self, wanted: tuple[str, bool]) -> None:
        """Waits for one hint and passes over all before it; queue.Empty where it does not come."""
        while self._queue.get(timeout=DEADLINE_SECONDS) != wanted:
            pass


@pytest.fixture
def hints() -> Hints:
    return Hints()


@pytest.fixture
def watcher(tmp_path: Path, hints: Hints) -> Iterator[Watcher]:
    (tmp_path / "Drop").mkdir()
    watcher = Watcher(str(tmp_path / "Drop"), recursive=True, hint=hints)
    assert watcher.tend()
    yield watcher
    watcher.stop()


def test_a_close_and_a_move_say_that_the_writer_is_done(tmp_path: Path, watcher: Watcher, hints: Hints) -> None:
    (tmp_path / "Drop" / "written.wav").write_bytes(b"x")
    hints.until(("written.wav", False))
    hints.until(("written.wav", True))
    (tmp_path / "Drop" / "written.wav").rename(tmp_path / "Drop" / "renamed.wav")
    hints.until(("renamed.wav", True))
    (tmp_path / "outside.wav").write_bytes(b"x")
    (tmp_path / "outside.wav").rename(tmp_path / "Drop" / "from outside.wav")
    hints.until(("from outside.wav", True))


def test_what_lies_in_a_folder_that_is_moved_in_is_found(tmp_path: Path, watcher: Watcher, hints: Hints) -> None:
    (tmp_path / "preset").mkdir()
    (tmp_path / "preset").rename(tmp_path / "Drop" / "preset")
    hints.until(("", False))
    (tmp_path / "Drop" / "preset" / "loop.wav").write_bytes(b"x")
    hints.until(("preset/loop.wav", True))


def test_a_folder_that_is_made_again_is_watched_again(tmp_path: Path, watcher: Watcher, hints: Hints) -> None:
    (tmp_path / "Drop").rmdir()
    hints.until(("", False))
    assert not watcher.tend()
    (tmp_path / "Drop").mkdir()
    assert watcher.tend()
    (tmp_path / "Drop" / "loop.wav").write_bytes(b"x")
    hints.until(("loop.wav", True))


def test_a_folder_in_another_ones_place_is_noticed(tmp_path: Path, watcher: Watcher, hints: Hints) -> None:
    (tmp_path / "Drop").rename(tmp_path / "moved away")
    (tmp_path / "Drop").mkdir()
    assert not watcher.is_well()
    assert watcher.tend()
    (tmp_path / "Drop" / "loop.wav").write_bytes(b"x")
    hints.until(("loop.wav", True))


def test_lost_events_ask_for_a_look_at_everything(watcher: Watcher, hints: Hints) -> None:
    # the very record by which watchdog tells of it; the real thing would need the system's limits lowered
    logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed; filesystem events were lost")
    hints.until(("", False))


def test_a_folder_reached_by_a_link_is_watched(tmp_path: Path, hints: Hints) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    watcher = Watcher(str(tmp_path / "link"), recursive=False, hint=hints)
    assert watcher.tend()
    (tmp_path / "link" / "loop.wav").write_bytes(b"x")
    hints.until(("loop.wav", True))
    watcher.stop()
