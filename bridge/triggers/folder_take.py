"""Decides what becomes of a file that came to rest: a job, nothing (it was had before), or a refusal and its reason.

Bounded: a few files at a time, Drop's before the watched folders', oldest first. What happens when the job has ended is
`folder_away`'s.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bridge.audio.container import WHAT_WE_READ, check_whole, shown
from bridge.errors import ClipError, SourceUnfinished, internal
from bridge.home import Home
from bridge.intake import DROP, WATCH, Intake
from bridge.job import Job, Problem
from bridge.store import JobStore
from bridge.store.folders import Arrival, Memory
from bridge.triggers.folder_away import Away, content_of, sha256_of
from bridge.triggers.folder_names import (
    NAME_LIMIT,
    PROVENANCE_ENDING,
    RAW_ENDING,
    SIDE_ENDING,
    ending,
    is_text,
    provenance_name,
    readable,
)
from bridge.triggers.folder_place import Place, Seen
from bridge.triggers.folder_tend import Tended

log = logging.getLogger(__name__)
TAKERS: Final = 4
TRIES: Final = 3  # of what fails for no fault of the file
PASSING: Final = frozenset({"internal", "disk_full"})
SIDE_FILE_MAX_BYTES: Final = 1_000_000


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
        return await self._submit(
            tended, seen, None, preset=preset or place.preset, priority=priority, defaults=defaults
        )

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
        refusal = await asyncio.to_thread(_refusal, tended.place, seen)
        if refusal is not None:
            await self._away.refuse(tended, seen, Problem.of(refusal))
            return
        if tended.place.entry is not None and tended.place.entry.run == "on_trigger":
            if row is None or row.state != "known" or row.sha256 is not None or row.mark != seen.mark:
                await tended.remember(seen.rel, Arrival(*seen.mark, "waiting"))
            return
        sha256 = None
        if not unfinished:
            try:
                sha256 = await asyncio.to_thread(_hashed, tended.place.path(seen.rel), seen.mark)
            except _Changed:
                tended.look_again(seen.rel)
                return
            except OSError:
                sha256 = None  # not readable, or gone: intake says so in a sentence
        if row is not None and await self._goes_on(tended, seen, row, sha256):
            return
        if sha256 is not None and await self._is_had(tended, seen, sha256):
            return
        await self._take(tended, seen, sha256, row)

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
            for rel, row in tended.rows.items():
                if row.sha256 == sha256 and rel != seen.rel and row.job_id and not os.path.lexists(place.path(rel)):
                    await self._renamed(tended, rel, seen, row)
                    return True
        if place.kind == "drop":
            return False
        if seen.mark in tended.known_marks or await self.is_own_take(place, seen.rel, sha256):
            await tended.remember(seen.rel, Arrival(*seen.mark, "known", sha256))
            return True
        job_id = await self._memory.job_of_content(place.root, place.preset, sha256)
        if job_id is None:
            return False
        await tended.remember(seen.rel, Arrival(*seen.mark, "taken" if place.moves else "done", sha256, job_id))
        if place.moves:
            # it is put away as its twin was, without being run
            job = await self._jobs.get(job_id)
            if job is not None:
                self._away.wait_for(job, tended, seen.rel)
        return True

    async def _renamed(self, tended: Tended, old: str, seen: Seen, row: Arrival) -> None:
        """A file whose job lives, or that could not be moved, has got another name."""
        await tended.remember(seen.rel, replace(row, size_bytes=seen.size_bytes, modified_ns=seen.modified_ns))
        await tended.remember(old, None)
        self._away.let_go(row.job_id, tended, old)
        job = await self._jobs.get(row.job_id or "")
        if job is not None:
            self._away.wait_for(job, tended, seen.rel)

    # ---- into a job --------------------------------------------------------------------------------------------------

    async def _take(self, tended: Tended, seen: Seen, sha256: str | None, before: Arrival | None) -> None:
        place = tended.place
        if before is not None:
            self._away.let_go(before.job_id, tended, seen.rel)
        defaults: dict[str, Any] = {}
        if place.entry is not None:
            # an arrival spends only where the entry itself says with whom
            defaults = {"provider": place.entry.provider or "dsp", **self._deliver_to(place, seen)}
        try:
            await self._submit(
                tended, seen, sha256, preset=place.preset_of(seen.rel), priority=priority_of(place), defaults=defaults
            )
        except ClipError as error:
            await self._refused(tended, seen, error)
        else:
            self._tries.pop((tended, seen.rel), None)

    async def _submit(
        self,
        tended: Tended,
        seen: Seen,
        sha256: str | None,
        *,
        preset: str,
        priority: int,
        defaults: Mapping[str, Any],
    ) -> Job:
        """Makes the job. The row comes first and carries a token, so that the next start sees a crash in between."""
        place, rel = tended.place, seen.rel
        token = secrets.token_hex(8)
        path = place.path(rel)
        origin = {"folder": place.root, "path": path, "kind": place.kind, "name": seen.name, "arrival": token}
        self._away.expect()
        try:
            given = await asyncio.to_thread(_given, place, path)
            await tended.remember(rel, Arrival(*seen.mark, "taking", sha256, token))
            job = await self._intake.submit(
                given, trigger="folder", priority=priority, preset=preset, defaults=defaults, origin=origin
            )
            if job.origin.get("arrival") != token:  # a side file's client_id named a job that is there already
                job = await self._jobs.get(job.id) or job
            content = None if sha256 is None else content_of(place, sha256, job.id)
            await tended.remember(rel, Arrival(*seen.mark, "taken", sha256, job.id), content)
            self._away.wait_for(job, tended, rel)
        except ClipError:
            raise
        except Exception as error:
            log.exception("a file could not be taken", extra={"facts": _facts(tended, seen)})
            raise internal(f"{shown(path)} could not be taken: {type(error).__name__}.") from error
        finally:
            self._away.expected()
        return job

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


class _Changed(Exception):
    """The file is no longer what it was when it came to rest."""


def priority_of(place: Place) -> int:
    return DROP if place.kind == "drop" else WATCH


def _hashed(path: str, mark: tuple[int, int]) -> str:
    sha256 = sha256_of(path)
    status = Path(path).stat()
    if (status.st_size, status.st_mtime_ns) != mark:
        raise _Changed
    return sha256


def _has_provenance(path: str) -> bool:
    beside = Path(path).with_name(provenance_name(Path(path).name))
    return os.path.lexists(beside) or (
        path.endswith(RAW_ENDING) and os.path.lexists(path.removesuffix(RAW_ENDING) + PROVENANCE_ENDING)
    )


def _refusal(place: Place, seen: Seen) -> ClipError | None:
    """What is wrong with a file that no request can be made of."""
    path = place.path(seen.rel)
    if not is_text(seen.rel):
        return ClipError(
            "source_unsupported",
            f"The name {shown(path)} holds bytes that are no text, so no request can name the file.",
            hint="Rename it with ordinary characters and drop it again.",
        )
    if seen.what == "folder":
        return ClipError(
            "source_unreadable",
            f"{shown(path)} is a folder, not an audio file, and no preset is called so.",
            hint="Drop the audio file inside it; a folder in Drop must be called as a preset is.",
        )
    if seen.what == "audio":
        return None
    try:
        check_whole(path)
    except SourceUnfinished:
        return None if seen.what == "unnamed" else _unsupported(path)
    except ClipError as error:
        return error if error.code in {"source_unsupported", "source_not_found"} else _unsupported(path)
    return None if seen.what == "unnamed" else _unsupported(path)


def _unsupported(path: str) -> ClipError:
    last = ending(Path(path).name)
    what = f"A {readable(last)} file" if last else "A file without an ending"
    return ClipError(
        "source_unsupported",
        f"{shown(path)} is no clip: {what} is not something that clipbridge reads.",
        hint=f"Export it as WAV and drop that. {WHAT_WE_READ}",
    )


def _given(place: Place, path: str) -> dict[str, Any]:
    """The request that a file makes, with the values of its side file in Drop. Raises ClipError `bad_request`."""
    given: dict[str, Any] = {}
    if place.kind == "drop":
        given = _side_values(Path(path + SIDE_ENDING))
    return {**given, "source": path}


def _side_values(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > SIDE_FILE_MAX_BYTES:
            raise _bad_side_file(file, f"it has more than {SIDE_FILE_MAX_BYTES:,} bytes")
        values = json.loads(file.read_text("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        if len(os.fsencode(file.name)) > NAME_LIMIT:
            return {}  # the clip's own name is so long that nothing can lie beside it
        raise _bad_side_file(file, (error.strerror or str(error)).lower()) from error
    except (ValueError, RecursionError) as error:
        raise _bad_side_file(file, f"it is not proper JSON ({error})") from error
    if not isinstance(values, dict):
        raise _bad_side_file(file, "it holds no JSON object")
    if "source" in values:
        raise _bad_side_file(file, 'it names a "source", and that is always the clip beside it')
    return values


def _bad_side_file(file: Path, why: str) -> ClipError:
    return ClipError(
        "bad_request",
        f"The side file {shown(str(file))} cannot be used: {why}.",
        hint='Correct it (for example {"prompt": "lo-fi tape", "strength": 0.5}) and drop the clip again.',
    )


def _facts(tended: Tended, seen: Seen) -> dict[str, str]:
    return {"folder": tended.place.root, "file": readable(seen.rel)}
