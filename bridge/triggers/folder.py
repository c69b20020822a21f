"""The folder trigger: Drop and the watched folders, each looked after by itself.

Only puts the parts together: `folder_tend` sees a file come to rest, `folder_take` makes it a job, `folder_away` puts
it away when that has ended; `store.folders` keeps all of it over a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from bridge.audio.container import check_whole
from bridge.config import Config, Watch
from bridge.desktop.filesystems import is_open_for_writing
from bridge.errors import ClipError
from bridge.events import Events
from bridge.home import Home
from bridge.intake import PERSON, Intake
from bridge.job import Job
from bridge.presets import DEFAULT, Presets
from bridge.store import Database, JobStore
from bridge.store.folders import Memory
from bridge.triggers.folder_away import Away, sha256_of
from bridge.triggers.folder_place import Place, Seen, is_inside
from bridge.triggers.folder_take import TAKERS, Taking
from bridge.triggers.folder_tend import Tended

log = logging.getLogger(__name__)
DROP_SETTLE_SECONDS: Final = 0.5
STOP_SECONDS: Final = 5.0
FIRST_SIGHT_SECONDS: Final = 1.0  # a share that does not answer holds nobody up longer
NEWEST_MAX: Final = 50  # how many of the newest files are looked at for a whole one


class Parts(Protocol):
    """What the trigger needs of the engine."""

    @property
    def home(self) -> Home: ...
    @property
    def config(self) -> Config: ...
    @property
    def presets(self) -> Presets: ...
    @property
    def intake(self) -> Intake: ...
    @property
    def events(self) -> Events: ...
    @property
    def jobs(self) -> JobStore: ...
    @property
    def database(self) -> Database: ...


class FolderTrigger:
    """All folders of one daemon."""

    def __init__(self, engine: Parts) -> None:
        self._config = engine.config
        self._home = engine.home
        self._presets = engine.presets
        self._events = engine.events
        self._jobs = engine.jobs
        self._memory = Memory(engine.database)
        self._away = Away(engine.jobs)
        self._taking = Taking(engine.home, engine.intake, engine.jobs, self._memory, self._away)
        self._places: list[Tended] = []
        self._tending: list[asyncio.Task[None]] = []
        self._working: list[asyncio.Task[None]] = []
        self._unsubscribe: Callable[[], None] | None = None

    async def start(self) -> None:
        """Goes on where the last run ended, and looks after every folder from now on."""
        self._places = [
            Tended(
                place,
                self._memory,
                self._presets,
                self._taking.offer,
                self._away.try_again,
                self._config.daemon.unfinished_seconds,
            )
            for place in places_of(self._home, self._config)
        ]
        await self._memory.keep_only([tended.place.key for tended in self._places])
        for tended in self._places:
            await tended.load()
        self._unsubscribe = self._events.subscribe(self._away.heard)
        for tended in self._places:
            await self._reconcile(tended)
        loop = asyncio.get_running_loop()
        self._working = [loop.create_task(self._away.work(), name="folder away")]
        self._working += [loop.create_task(self._taking.work(), name="folder take") for _ in range(TAKERS)]
        self._tending = [loop.create_task(tended.run(), name=f"folder {tended.place.root}") for tended in self._places]
        # who exports a clip the moment the bridge is ready must not find it counted among what was there before
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SIGHT_SECONDS):
                for tended in self._places:
                    await tended.sighted.wait()

    async def stop(self) -> None:
        """Ends all looking after; what was being decided about is decided about at the next start."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        tasks = [*self._tending, *self._working]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_SECONDS)
        self._tending, self._working = [], []
        await asyncio.gather(*(asyncio.to_thread(tended.stop) for tended in self._places))

    async def run_newest(self, preset: str | None) -> Job:
        """Runs the newest whole file that waits in a `run = "on_trigger"` folder.

        Raises ClipError `source_not_found` where none waits, and whatever intake says of the request.
        """
        waiting: list[tuple[int, str, Tended, Seen]] = []
        folders = []
        for tended in self._places:
            entry = tended.place.entry
            if entry is None or entry.run != "on_trigger":
                continue
            folders.append(tended.place.root)
            with contextlib.suppress(OSError):  # a folder that is not there has nothing waiting
                waiting += [
                    (seen.modified_ns, seen.rel, tended, seen)
                    for seen in await tended.listed()
                    if _may_wait(tended, seen)
                ]
        waiting.sort(key=lambda one: one[:2], reverse=True)
        for _, _, tended, seen in waiting[:NEWEST_MAX]:
            if await self._is_whole_clip(tended, seen):
                return await self._taking.run_now(tended, seen, preset, priority=PERSON)
        raise _nothing_waits(folders)

    async def _is_whole_clip(self, tended: Tended, seen: Seen) -> bool:
        path = tended.place.path(seen.rel)
        if not await asyncio.to_thread(_is_whole, path):
            return False
        row = tended.rows.get(seen.rel)
        if row is not None and row.job_id is not None:
            return True  # it was run before; a copy of it (strength 0) has the very same content
        try:
            sha256 = await asyncio.to_thread(sha256_of, path)
        except OSError:
            return False
        return not await self._taking.is_own_take(tended.place, seen.rel, sha256)

    async def _reconcile(self, tended: Tended) -> None:
        """What the last run could not finish: files on the way into a job, and files whose jobs have ended since."""
        for rel, row in tuple(tended.rows.items()):
            if row.state not in {"taking", "taken"} or row.job_id is None:
                continue
            job_id: str | None = row.job_id
            if row.state == "taking":
                job_id = await self._memory.job_of_token(row.job_id)
                if job_id is None:
                    await tended.remember(rel, None)  # it never became one: it is new again
                    continue
                await tended.remember(rel, replace(row, state="taken", job_id=job_id))
            job = await self._jobs.get(job_id or "")
            if job is None:
                await self._away.tidy_up(tended, rel, None)
            else:
                self._away.wait_for(job, tended, rel)


def places_of(home: Home, config: Config) -> list[Place]:
    """Drop and each `[[watch]]` entry; of two entries with the same folder and preset the first counts."""
    drop = os.path.abspath(home.drop_dir)
    places = [Place(drop, drop, "drop", DEFAULT, DROP_SETTLE_SECONDS, moves=True)]
    known = {drop}
    closed = (os.path.realpath(home.drop_dir), os.path.realpath(home.root))
    open_all_the_same = (os.path.realpath(home.results_dir),)
    for entry in config.watch:
        place = _watched(entry, closed, open_all_the_same)
        facts = {"folder": entry.path, "preset": entry.preset}
        real = os.path.realpath(entry.path)
        if is_inside(real, closed) and not is_inside(real, open_all_the_same):
            log.warning("a [[watch]] entry names a folder of our own; it does not count", extra={"facts": facts})
        elif place.key in known:
            log.warning("two entries watch a folder with one preset; the first counts", extra={"facts": facts})
        else:
            known.add(place.key)
            places.append(place)
    return places


def _watched(entry: Watch, closed: tuple[str, ...], open_all_the_same: tuple[str, ...]) -> Place:
    root = os.path.abspath(entry.path)
    return Place(
        key=f"{root}|{entry.preset}",
        root=root,
        kind="watch",
        preset=entry.preset,
        settle_seconds=entry.settle_seconds,
        recursive=entry.recursive,
        moves=entry.after == "move",
        entry=entry,
        closed_to=closed if entry.recursive else (),
        open_to=open_all_the_same if entry.recursive else (),
    )


def _may_wait(tended: Tended, seen: Seen) -> bool:
    """Not what was there before the entry."""
    row = tended.rows.get(seen.rel)
    if row is not None and row.state == "known":
        return row.mark != seen.mark
    return row is not None or seen.mark not in tended.known_marks


def _is_whole(path: str) -> bool:
    try:
        check_whole(path)
    except ClipError:
        return False
    return not is_open_for_writing(path)


def _nothing_waits(folders: list[str]) -> ClipError:
    if not folders:
        return ClipError(
            "source_not_found",
            "Nothing is selected, and no folder waits for a trigger.",
            hint='Select a clip in the DAW, or export one into a [[watch]] folder with run = "on_trigger".',
        )
    return ClipError(
        "source_not_found",
        f"No whole clip waits in {', '.join(folders)}.",
        hint="Export a clip there, then trigger again.",
    )
