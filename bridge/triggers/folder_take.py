"""Decides what becomes of a file that came to rest: a job, nothing (it was had before), or a refusal and its reason.

Bounded: a few files at a time, Drop's before the watched folders', oldest first. What happens when the job has ended is
`folder_away`'s.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bridge.audio.container import shown
from bridge.errors import ClipError, internal
from bridge.home import Home
from bridge.intake import DROP, WATCH, Intake
from bridge.job import Job, Problem
from bridge.store import JobStore
from bridge.store.folders import Arrival, ArrivalState, Memory
from bridge.triggers.folder_away import Away, content_of, sha256_of
from bridge.triggers.folder_names import (
    PROVENANCE_ENDING,
    RAW_ENDING,
    provenance_name,
    readable,
)
from bridge.triggers.folder_place import Place, Seen
from bridge.triggers.folder_read import Changed, Read, read_file
from bridge.triggers.folder_tend import Tended

log = logging.getLogger(__name__)
TAKERS: Final = 4
TRIES: Final = 3  # of what fails for no fault of the file
PASSING: Final = frozenset({"internal", "disk_full"})


class Taking:
    """The queue of files to be decided about, and who works it off."""

    def __init__(self, home: Home, intake: Intake, jobs: JobStore, memory: Memory, away: Away) -> None:
        self._home = home
        self._intake = intake
        self._jobs = jobs
        self._memory = memory
        self._away = away
        # priority, time of the file, name; the count keeps what is equal in order
        self._queue: asyncio.PriorityQueue[tuple[int, int, str, int]] = asyncio.PriorityQueue()
        self._offers: dict[int, tuple[Tended, Seen, bool]] = {}
        self._count = 0
        self._tries: dict[tuple[Tended, str], int] = {}

    def offer(self, tended: Tended, seen: Seen, unfinished: bool) -> None:
        """Puts a file into the queue."""
        self._count += 1
        self._offers[self._count] = (tended, seen, unfinished)
        self._queue.put_nowait((priority_of(tended.place), seen.modified_ns, seen.rel, self._count))

    async def work(self) -> None:
        """Decides about one file after the other until cancelled; trouble with one is no trouble for the next."""
        while True:
            *_, number = await self._queue.get()
            tended, seen, unfinished = self._offers.pop(number)
            try:
                await self._decide(tended, seen, unfinished)
            except Exception:
                log.exception("a file could not be decided about", extra={"facts": _facts(tended, seen)})
            finally:
                tended.decided(seen.rel)

    async def run_now(self, tended: Tended, seen: Seen, preset: str | None, *, priority: int) -> Job:
        """Runs a file because a person asked for it just now. Raises ClipError: whatever intake says."""
        place, entry = tended.place, tended.place.entry
        assert entry is not None
        # the gesture's preset names the provider; without one the entry does, if it says so itself
        provider = {} if preset is not None or entry.provider is None else {"provider": entry.provider}
        defaults = {**self._deliver_to(place, seen), **provider}
        before = tended.rows.get(seen.rel)
        read = Read(None, {"source": place.path(seen.rel)})
        try:
            return await self._submit(
                tended, seen, read, preset=preset or place.preset, priority=priority, defaults=defaults
            )
        except ClipError:
            await tended.remember(seen.rel, before or Arrival(*seen.mark, "waiting"))
            raise

    async def is_own_take(self, place: Place, rel: str, sha256: str) -> bool:
        """Whether the file was made by the bridge: by what lies beside it, or by its content."""
        if await asyncio.to_thread(_has_provenance, place.path(rel)):
            return True
        if await self._jobs.is_take(sha256):
            return True
        path = place.path(rel)
        if not path.endswith(RAW_ENDING):
            return False
        # the untouched companion of a take: its provenance may come a moment after it
        take = path.removesuffix(RAW_ENDING) + ".wav"
        try:
            return await self._jobs.is_take(await asyncio.to_thread(sha256_of, take))
        except OSError:
            return False

    # ---- one file ----------------------------------------------------------------------------------------------------

    async def _decide(self, tended: Tended, seen: Seen, unfinished: bool) -> None:
        row = tended.rows.get(seen.rel)
        if tended.place.entry is not None and tended.place.entry.run == "on_trigger":
            state: ArrivalState = "known" if seen.mark in tended.known_marks else "waiting"
            await tended.remember(seen.rel, Arrival(*seen.mark, state))
            return
        try:
            read = await asyncio.to_thread(read_file, tended.place, seen, unfinished)
        except Changed:
            tended.look_again(seen.rel)
            return
        except ClipError as refusal:
            await self._away.refuse(tended, seen, Problem.of(refusal))
            return
        if row is not None and await self._goes_on(tended, seen, row, read.sha256):
            return
        if read.sha256 is not None and await self._is_had(tended, seen, read.sha256):
            return
        await self._take(tended, seen, read, row)

    async def _goes_on(self, tended: Tended, seen: Seen, row: Arrival, sha256: str | None) -> bool:
        """Whether a file that was decided about is still the same, though its size or time is another."""
        renewed = replace(row, size_bytes=seen.size_bytes, modified_ns=seen.modified_ns)
        if sha256 is not None and row.sha256 == sha256 and row.state != "refused":
            await tended.remember(seen.rel, renewed)
            return True
        if row.state != "taken" or row.job_id is None:
            return False
        job = await self._jobs.get(row.job_id)
        if job is None or not job.living or job.cut is not None:
            return False
        # its job has not read it yet, and will read what lies there then: a file that grows, or is written anew
        content = None if sha256 is None else content_of(tended.place, sha256, row.job_id)
        await tended.remember(seen.rel, replace(renewed, sha256=sha256), content)
        return True

    async def _is_had(self, tended: Tended, seen: Seen, sha256: str) -> bool:
        """Whether this content was had before under another name or at another time, so that it is not run again."""
        place = tended.place
        if place.moves:
            for rel, row in tuple(tended.rows.items()):
                if row.sha256 != sha256 or row.state not in {"taken", "left"} or os.path.lexists(place.path(rel)):
                    continue
                if await self._is_renamed(tended, rel, seen, row):
                    return True
        if place.kind == "drop":
            return False
        job_id = await self._memory.job_of_content(place.root, place.preset, sha256)
        if job_id is None:
            if seen.mark in tended.known_marks or await self.is_own_take(place, seen.rel, sha256):
                await tended.remember(seen.rel, Arrival(*seen.mark, "known", sha256))
                return True
            return False
        await tended.remember(seen.rel, Arrival(*seen.mark, "taken" if place.moves else "done", sha256, job_id))
        if place.moves:
            # it is put away as its twin was, without being run
            job = await self._jobs.get(job_id)
            if job is not None:
                self._away.wait_for(job, tended, seen.rel)
        return True

    async def _is_renamed(self, tended: Tended, old: str, seen: Seen, row: Arrival) -> bool:
        """Follows a file whose job lives, or that could not be moved, to its new name."""
        job = await self._jobs.get(row.job_id or "")
        if job is not None and job.living and job.cut is None:
            return False  # its job looks for it under the old name, in vain
        await tended.remember(seen.rel, replace(row, size_bytes=seen.size_bytes, modified_ns=seen.modified_ns))
        await tended.remember(old, None)
        self._away.let_go(row.job_id, tended, old)
        if job is not None:
            self._away.wait_for(job, tended, seen.rel)
        return True

    # ---- into a job --------------------------------------------------------------------------------------------------

    async def _take(self, tended: Tended, seen: Seen, read: Read, before: Arrival | None) -> None:
        place = tended.place
        if before is not None:
            self._away.let_go(before.job_id, tended, seen.rel)
        defaults: dict[str, Any] = {}
        if place.entry is not None:
            # an arrival spends only where the entry itself says with whom
            defaults = {"provider": place.entry.provider or "dsp", **self._deliver_to(place, seen)}
        try:
            await self._submit(
                tended, seen, read, preset=place.preset_of(seen.rel), priority=priority_of(place), defaults=defaults
            )
        except ClipError as error:
            await self._refused(tended, seen, error)
        else:
            self._tries.pop((tended, seen.rel), None)

    async def _submit(
        self,
        tended: Tended,
        seen: Seen,
        read: Read,
        *,
        preset: str,
        priority: int,
        defaults: Mapping[str, Any],
    ) -> Job:
        """Makes the job. A row with a token, which the job's origin carries too, is on disk before it or with it.

        So the next start sees a crash in between.
        """
        place, rel = tended.place, seen.rel
        token = secrets.token_hex(8)
        path = place.path(rel)
        origin = {"folder": place.root, "path": path, "kind": place.kind, "name": seen.name, "arrival": token}
        if isinstance(read.given, ClipError):
            raise read.given
        self._away.expect()
        try:
            noting = tended.remember(rel, Arrival(*seen.mark, "taking", read.sha256, token))
            try:
                job = await self._intake.submit(
                    read.given, trigger="folder", priority=priority, preset=preset, defaults=defaults, origin=origin
                )
            finally:
                await asyncio.gather(noting, return_exceptions=True)
            if job.origin.get("arrival") != token:  # a side file's client_id named a job that is there already
                job = await self._jobs.get(job.id) or job
            await self._taken(tended, seen, read.sha256, job)
        except ClipError:
            raise
        except Exception as error:
            log.exception("a file could not be taken", extra={"facts": _facts(tended, seen)})
            raise internal(f"{shown(path)} could not be taken: {type(error).__name__}.") from error
        finally:
            self._away.expected()
        return job

    async def _taken(self, tended: Tended, seen: Seen, sha256: str | None, job: Job) -> None:
        content = None if sha256 is None else content_of(tended.place, sha256, job.id)
        try:
            await tended.remember(seen.rel, Arrival(*seen.mark, "taken", sha256, job.id), content)
        except ClipError as error:
            # the job is made: here it is known, and the token on disk tells the next start
            facts = {**_facts(tended, seen), "job": job.id, "reason": error.message}
            log.error("a file's job could not be noted", extra={"facts": facts})
        self._away.wait_for(job, tended, seen.rel)

    async def _refused(self, tended: Tended, seen: Seen, error: ClipError) -> None:
        path = tended.place.path(seen.rel)
        if not await asyncio.to_thread(os.path.lexists, path):
            await tended.remember(seen.rel, None)  # it went away before it was taken: nothing happened
            return
        tries = self._tries.get((tended, seen.rel), 0) + 1
        if error.code in PASSING and tries < TRIES:
            # no fault of the file's: the next scan offers it again
            self._tries[(tended, seen.rel)] = tries
            facts = {**_facts(tended, seen), "code": error.code, "reason": error.message}
            log.warning("a file could not be taken yet", extra={"facts": facts})
            await tended.remember(seen.rel, None)
            return
        self._tries.pop((tended, seen.rel), None)
        await self._away.refuse(tended, seen, Problem.of(error))

    def _deliver_to(self, place: Place, seen: Seen) -> dict[str, Any]:
        """Where takes of a watched folder go: the entry's folder or Results, and there the clip's own sub-folder."""
        assert place.entry is not None
        base = Path(place.entry.deliver_to or self._home.results_dir)
        return {"deliver_to": str(base / Path(seen.rel).parent if place.recursive else base)}


def priority_of(place: Place) -> int:
    return DROP if place.kind == "drop" else WATCH


def _has_provenance(path: str) -> bool:
    beside = Path(path).with_name(provenance_name(Path(path).name))
    return os.path.lexists(beside) or (
        path.endswith(RAW_ENDING) and os.path.lexists(path.removesuffix(RAW_ENDING) + PROVENANCE_ENDING)
    )


def _facts(tended: Tended, seen: Seen) -> dict[str, str]:
    return {"folder": tended.place.root, "file": readable(seen.rel)}
