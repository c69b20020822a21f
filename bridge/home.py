"""The home folder: where everything lies, who holds it, and how a running daemon is found (contract, section 1).

Makes folders and the discovery file; what is inside the database or the settings is not its business.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from bridge.errors import ClipError

ENV_HOME = "CLIPBRIDGE_HOME"
DEFAULT_NAME = ".clipbridge"
DISCOVERY = "daemon.json"


class HomeHeld(ClipError):
    """Another clipbridge holds the home."""


@dataclass(frozen=True)
class Home:
    """The paths of one home. Nothing is made until `prepare()`."""

    root: Path
    drop_dir: Path
    results_dir: Path

    @classmethod
    def at(cls, explicit: str | os.PathLike[str] | None) -> Home:
        """The home at `explicit`, else at $CLIPBRIDGE_HOME, else `~/.clipbridge` with Drop and Results in the Music folder."""
        chosen = explicit or os.environ.get(ENV_HOME)
        if chosen:
            root = Path(chosen).expanduser().absolute()
            return cls(root, root / "Drop", root / "Results")
        music = platformdirs.user_music_path() / "Clipbridge"
        return cls(Path.home() / DEFAULT_NAME, music / "Drop", music / "Results")

    def with_results(self, results_dir: str | None) -> Home:
        """The same home with another folder for results, if one is set."""
        return self if results_dir is None else Home(self.root, self.drop_dir, Path(results_dir))

    @property
    def config(self) -> Path:
        return self.root / "config.toml"

    @property
    def database(self) -> Path:
        return self.root / "clipbridge.db"

    @property
    def jobs_dir(self) -> Path:
        return self.root / "jobs"

    @property
    def uploads_dir(self) -> Path:
        return self.root / "uploads"

    @property
    def mailbox_dir(self) -> Path:
        return self.root / "mailbox"

    @property
    def presets_dir(self) -> Path:
        return self.root / "presets"

    @property
    def log(self) -> Path:
        return self.root / "logs" / "clipbridge.log"

    @property
    def discovery(self) -> Path:
        return self.root / DISCOVERY

    def job_dir(self, job_id: str) -> Path:
        return self.jobs_dir / job_id

    def prepare(self) -> None:
        """Makes the folders: the home for its owner's eyes only, Drop and Results as other folders are."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if sys.platform != "win32":  # on Windows the user's profile is private already
                self.root.chmod(0o700)
            for folder in (self.jobs_dir, self.presets_dir, self.log.parent, self.drop_dir, self.results_dir):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ClipError(
                "internal",
                f"The home folder {self.root} could not be made ready: {error.strerror or error} ({error.filename}).",
                hint="Give that place free space and write permission, or name another with --home.",
            ) from None

    def reaches_into(self, path: Path) -> bool:
        """Whether `path` (symbolic links followed) lies in a part of the home that no request may read or write."""
        real = _real(path)
        root = _real(self.root)
        open_to_requests = [_real(self.results_dir), _real(self.drop_dir)]
        if any(real == folder or folder in real.parents for folder in open_to_requests):
            return False
        return real == root or root in real.parents

    @contextlib.contextmanager
    def held(self, *, wait: bool = False) -> Iterator[None]:
        """Holds the home for this process: one daemon a home.

        Raises HomeHeld that names the holder's process id; with `wait` it waits for its turn instead.
        """
        # it brings asyncio along: 25 ms that a command which only finds the daemon need not pay
        from filelock import FileLock, Timeout

        self.prepare()
        lock = FileLock(self.root / "daemon.lock", mode=0o600)
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            pid = self.holder()
            raise HomeHeld(
                "internal",
                f"The home {self.root} is already held by a running clipbridge (process {pid or 'unknown'}).",
                hint="Use that one, stop it first, or start this one with another --home.",
            ) from None
        try:
            write_atomically(self.root / "daemon.pid", str(os.getpid()), mode=0o600)
            yield
        finally:
            (self.root / "daemon.pid").unlink(missing_ok=True)
            lock.release()

    def holder(self) -> int | None:
        """The id of the process that holds the home, if it says so."""
        try:
            return int((self.root / "daemon.pid").read_text())
        except (OSError, ValueError):
            return None

    def announce(self, facts: dict[str, Any]) -> None:
        """Writes `daemon.json`, and the pointer in the default home unless a living daemon's stands there."""
        text = json.dumps(facts, indent=2)
        write_atomically(self.discovery, text, mode=0o600)
        pointer = _pointer()
        if pointer != self.discovery and living_daemon(pointer) is None:
            pointer.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(pointer, text, mode=0o600)

    def withdraw(self) -> None:
        """Removes what `announce` wrote, where it is still this process's."""
        for file in {self.discovery, _pointer()}:
            facts = _read(file)
            if facts is not None and facts.get("pid") == os.getpid():
                file.unlink(missing_ok=True)

    def daemon(self) -> dict[str, Any] | None:
        """What the running daemon of this home says of itself in `daemon.json`, or None."""
        return living_daemon(self.discovery)


def find_daemon(explicit: str | None) -> dict[str, Any] | None:
    """The daemon to talk to: of the named home, else whichever the default home's `daemon.json` points to."""
    if explicit or os.environ.get(ENV_HOME):
        return Home.at(explicit).daemon()
    return living_daemon(_pointer())


def living_daemon(discovery: Path) -> dict[str, Any] | None:
    """The content of a discovery file whose process lives, or None."""
    facts = _read(discovery)
    if facts is None or not isinstance(facts.get("pid"), int):
        return None
    return facts if is_running(facts["pid"]) else None


def is_running(pid: int) -> bool:
    """Whether a process of that id lives."""
    if pid <= 0:
        return False
    if sys.platform == "win32":
        # os.kill would end the process there; opening it for a question does not
        import ctypes

        kernel32 = ctypes.windll.kernel32
        query_limited_information, still_active = 0x1000, 259
        handle = kernel32.OpenProcess(query_limited_information, False, pid)
        if not handle:
            return False
        code = ctypes.c_ulong()
        alive = bool(kernel32.GetExitCodeProcess(handle, ctypes.byref(code))) and code.value == still_active
        kernel32.CloseHandle(handle)
        return alive
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Writes `text` so that a reader sees the old file or the new one, never a part."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _pointer() -> Path:
    return Path.home() / DEFAULT_NAME / DISCOVERY


def _read(path: Path) -> dict[str, Any] | None:
    try:
        facts = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a loop of symbolic links: nothing lies behind it
        return path.absolute()
