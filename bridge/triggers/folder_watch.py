"""The system's own news of a folder, by watchdog: hints of where to look, kept alive by a supervisor.

Events are hints and nothing more: they may come late, twice or never, and whoever gets one looks at the disk.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver

log = logging.getLogger(__name__)
# the path below the root ("" = look at everything), and whether its writer is done with it; called in other threads
Hint = Callable[[str, bool], None]
JOIN_SECONDS: Final = 2.0
# Opening, reading and every single write are nothing to us, and our own reading must not wake us.
_WANTED: Final[list[type[FileSystemEvent]]] = [
    FileCreatedEvent, FileClosedEvent, FileMovedEvent, DirCreatedEvent, DirMovedEvent, DirDeletedEvent,
]  # fmt: skip
# Only inotify tells of a close, and byte for byte the names that a listing shows; elsewhere an event only says "look".
_TELLS_PATHS: Final = sys.platform == "linux"


class Watcher:
    """The observer of one folder."""

    def __init__(self, root: str, *, recursive: bool, hint: Hint) -> None:
        self._root = root
        self._recursive = recursive
        self._hint = hint
        self._observer: BaseObserver | None = None
        self._identity: tuple[int, int] | None = None
        self._overflow: _OverflowListener | None = None
        self._complained = False

    def tend(self) -> bool:
        """Sees to it that events come; returns whether they do. Blocks for a moment: for a thread.

        A folder that was removed and made again, or renamed away and replaced, keeps an observer that looks alive and
        is deaf: therefore the folder's identity is compared, not only the threads.
        """
        if self.is_well():
            return True
        self.stop()
        identity = _identity_of(self._root)
        if identity is None:
            return False
        try:
            self._observer = self._started(os.path.realpath(self._root))
        except Exception as error:
            # whatever the system refuses (too many watches, say): the scans go on without events
            if not self._complained:
                log.warning(
                    "a folder's events are not to be had; it is looked at from time to time instead",
                    extra={"facts": {"folder": self._root, "reason": str(error)}},
                )
            self._complained = True
            return False
        self._identity = identity
        self._complained = False
        return True

    def is_well(self) -> bool:
        """Whether the folder is still the one that is observed, and the observer's threads live."""
        observer = self._observer
        return observer is not None and _identity_of(self._root) == self._identity and _is_alive(observer)

    def stop(self) -> None:
        """Ends the observer's threads."""
        if self._overflow is not None:
            self._overflow.remove()
            self._overflow = None
        observer, self._observer = self._observer, None
        if observer is None:
            return
        with contextlib.suppress(OSError, RuntimeError, KeyError):
            # a half-dead observer may trip over itself while it ends; it is not used again
            observer.stop()
            observer.join(JOIN_SECONDS)

    def _started(self, real: str) -> BaseObserver:
        observer = _new_observer()
        handler = _Handler(real, self._hint)
        wanted = _WANTED if _TELLS_PATHS else None
        observer.schedule(handler, real, recursive=self._recursive, event_filter=wanted)
        try:
            observer.start()
        except BaseException:
            with contextlib.suppress(OSError, RuntimeError):
                observer.stop()
            raise
        if _TELLS_PATHS:
            self._overflow = _OverflowListener(lambda: self._hint("", False))
        return observer


class _Handler(FileSystemEventHandler):
    """Passes events on. An exception in here would end watchdog's thread without a word, so it does nothing else."""

    def __init__(self, real_root: str, hint: Hint) -> None:
        self._prefix = real_root.rstrip(os.sep) + os.sep
        self._hint = hint

    def dispatch(self, event: FileSystemEvent) -> None:
        if not _TELLS_PATHS or event.is_directory:
            self._hint("", False)
            return
        moved = isinstance(event, FileMovedEvent)
        path = os.fsdecode(event.dest_path if moved else event.src_path)
        if path.startswith(self._prefix):
            self._hint(path[len(self._prefix) :], moved or isinstance(event, FileClosedEvent))


class _OverflowListener(logging.Handler):
    """Hears watchdog say that the system dropped events: it tells that to its log only."""

    _SOURCE: Final = "watchdog.observers.inotify_c"

    def __init__(self, overflowed: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._overflowed = overflowed
        logging.getLogger(self._SOURCE).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage():
            self._overflowed()

    def remove(self) -> None:
        logging.getLogger(self._SOURCE).removeHandler(self)


def _new_observer() -> BaseObserver:
    if sys.platform == "linux":
        from watchdog.observers.inotify import InotifyObserver

        # it says so whenever a folder moves inside a watched one, and then does the right thing
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning, r"watchdog\.observers\.inotify")
        # full events: a file moved in from elsewhere comes as "moved" (it is whole), not as "created" (it may be empty)
        return InotifyObserver(generate_full_events=True)
    else:  # noqa: RET505  (so that each system's branch is checked on that system only)
        from watchdog.observers import Observer

        return Observer()


def _is_alive(observer: BaseObserver) -> bool:
    emitters = observer.emitters
    return observer.is_alive() and bool(emitters) and all(emitter.is_alive() for emitter in emitters)


def _identity_of(root: str) -> tuple[int, int] | None:
    try:
        status = Path(root).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
