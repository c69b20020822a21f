"""What happens to a file when its job has ended or it was refused: put away, left where it is, or tried again later.

The moving itself is `folder_move`'s; which files there are to take is `folder_take`'s.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Final

from bridge.job import ENDS, Job, Problem
from bridge.store import JobStore
from bridge.store.folders import Arrival, Content
from bridge.store.jobs import Event
from bridge.triggers.folder_move import put_away, report_of
from bridge.triggers.folder_names import DONE, FAILED, readable
from bridge.triggers.folder_place import Place, Seen
from bridge.triggers.folder_tend import Refusal, Tended

log = logging.getLogger(__name__)
AGAIN_MIN_SECONDS: Final = 10.0
AGAIN_MAX_SECONDS: Final = 60.0
AGAIN_SHARE: Final = 0.005  # the part of all time that trying again may take

_UNKNOWN_JOB = Problem(
    code="unknown_job",
    message="The job that was made of this file is no longer known.",
    hint="Drop the file again if you still want a take of it.",
    charged="unknown",
)
_NO_REASON = Problem(code="internal", message="The job ended without a reason.", hint="Drop the file again.")


class Away:
    """Knows which files wait for which job."""

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs
        self._files: dict[str, set[tuple[Tended, str]]] = {}
        self._news: asyncio.Queue[Job] = asyncio.Queue()
        self._submitting = 0
        self._early: dict[str, Job] = {}
        self._again: dict[Tended, tuple[float, float]] = {}

    # ---- which files wait for which job ------------------------------------------------------------------------------

    def expect(self) -> None:
        """A file is being submitted: its job may end before its id is known here."""
        self._submitting += 1

    def expected(self) -> None:
        """The reverse of `expect`."""
        self._submitting -= 1
        if self._submitting == 0:
            self._early.clear()

    def wait_for(self, job: Job, tended: Tended, rel: str) -> None:
        """From now on this file waits for this job's end, which may be past already."""
        self._files.setdefault(job.id, set()).add((tended, rel))
        latest = self._early.pop(job.id, job)
        if latest.state in ENDS:
            self._news.put_nowait(latest)

    def let_go(self, job_id: str | None, tended: Tended, rel: str) -> None:
        """The file no longer belongs to the job: it has become another one, or is put away."""
        waiting = self._files.get(job_id or "")
        if waiting is not None:
            waiting.discard((tended, rel))
            if not waiting:
                del self._files[job_id or ""]

    def heard(self, _event: Event, job: Job) -> None:
        """Called in the loop for each change of each job."""
        has_ended = job.state in ENDS
        if job.id in self._files:
            if has_ended or job.state == "preparing":
                self._news.put_nowait(job)
        elif has_ended and self._submitting:
            self._early[job.id] = job

    # ---- when a job has ended ----------------------------------------------------------------------------------------

    async def work(self) -> None:
        """Follows the news, one by one, until cancelled."""
        while True:
            job = await self._news.get()
            for tended, rel in tuple(self._files.get(job.id, ())):
                try:
                    if job.state in ENDS:
                        await self.tidy_up(tended, rel, job)
                    else:
                        await self._is_whole_now(tended, rel, job)
                except Exception:
                    log.exception("a file could not be tidied up after", extra={"facts": _facts(tended, rel, job.id)})

    async def _is_whole_now(self, tended: Tended, rel: str, job: Job) -> None:
        """A file that was taken unfinished is being read now: so this is what it looks like when it is whole."""
        row = tended.rows.get(rel)
        if row is None or row.sha256 is not None or row.job_id != job.id:
            return
        whole = await asyncio.to_thread(_as_it_is, tended.place.path(rel))
        if whole is not None and tended.rows.get(rel) is row:
            size_bytes, modified_ns, sha256 = whole
            row = replace(row, size_bytes=size_bytes, modified_ns=modified_ns, sha256=sha256)
            await tended.remember(rel, row, content_of(tended.place, sha256, job.id))

    async def tidy_up(self, tended: Tended, rel: str, job: Job | None) -> None:
        """Puts the file of an ended job away, or notes that it is done with; an uncertain job's stays where it is."""
        row = tended.rows.get(rel)
        if row is None or (job is not None and row.job_id != job.id):
            self.let_go(None if job is None else job.id, tended, rel)  # it has become another job's
            return
        if job is not None and (job.state == "uncertain" or job.living):
            return
        if not tended.place.moves:
            content = None if row.sha256 is None or job is None else content_of(tended.place, row.sha256, job.id)
            await tended.remember(rel, replace(row, state="done"), content)
            self.let_go(row.job_id, tended, rel)
            return
        path = tended.place.path(rel)
        if await asyncio.to_thread(_is_another, path, row):
            # a newer file lies under the name: that is a wish of its own
            await tended.remember(rel, None)
            self.let_go(row.job_id, tended, rel)
            tended.look_again(rel)
            return
        try:
            await asyncio.to_thread(_put_away, tended.place, rel, job)
        except OSError as error:
            await self._leave(tended, rel, row, error)
            return
        if tended.rows.get(rel) is row:
            await tended.remember(rel, None)
        self.let_go(row.job_id, tended, rel)

    async def _leave(self, tended: Tended, rel: str, row: Arrival, error: OSError) -> None:
        if row.state == "left":
            return
        facts = {**_facts(tended, rel, row.job_id), "reason": error.strerror or str(error)}
        log.warning("a file could not be moved; it is left, and tried again later", extra={"facts": facts})
        sha256 = row.sha256
        if sha256 is None:
            whole = await asyncio.to_thread(_as_it_is, tended.place.path(rel))
            sha256 = None if whole is None else whole[2]
        await tended.remember(rel, replace(row, state="left", sha256=sha256))
        self._later(tended)

    # ---- when there is no job ----------------------------------------------------------------------------------------

    async def refuse(self, tended: Tended, seen: Seen, problem: Problem) -> None:
        """Says no to a file: in `_Failed` with the reason where files are moved, else in the log."""
        facts = {**_facts(tended, seen.rel, None), "code": problem.code, "reason": readable(problem.message)}
        log.warning("a file was refused", extra={"facts": facts})
        if not tended.place.moves:
            await tended.remember(seen.rel, Arrival(*seen.mark, "refused"))
            return
        if seen.rel in tended.rows:
            await tended.remember(seen.rel, None)
        tended.refusals[seen.rel] = Refusal(seen.mark, problem, seen.what)
        await self._put_refused_away(tended, seen.rel)

    async def _put_refused_away(self, tended: Tended, rel: str) -> None:
        refusal = tended.refusals[rel]
        path = Path(tended.place.path(rel))
        try:
            if await asyncio.to_thread(_has_changed, path, refusal):
                tended.look_again(rel)
            else:
                report = report_of(refusal.problem, path.name, None)
                await asyncio.to_thread(put_away, path, _folder(tended.place, rel, FAILED), report)
        except FileNotFoundError:
            pass  # gone: nothing is left to be said no to
        except OSError as error:
            facts = {**_facts(tended, rel, None), "reason": error.strerror or str(error)}
            log.warning("a refused file could not be moved", extra={"facts": facts})
            if tended not in self._again:
                self._later(tended)
            return
        tended.refusals.pop(rel, None)

    # ---- what could not be moved -------------------------------------------------------------------------------------

    async def try_again(self, tended: Tended) -> None:
        """Tries once more to move what could not be moved, ever less often while that is of no use."""
        left = [rel for rel, row in tended.rows.items() if row.state == "left"]
        if not left and not tended.refusals:
            self._again.pop(tended, None)
            return
        now = asyncio.get_running_loop().time()
        at, delay_seconds = self._again.get(tended, (0.0, AGAIN_MIN_SECONDS / 2))
        if now < at:
            return
        for rel in left:
            row = tended.rows.get(rel)
            if row is None or row.job_id is None:
                continue
            job = await self._jobs.get(row.job_id)
            if job is not None and (job.living or job.state == "uncertain"):
                # a person had it taken up again
                await tended.remember(rel, replace(row, state="taken"))
                self.wait_for(job, tended, rel)
                continue
            await self.tidy_up(tended, rel, job)
        for rel in tuple(tended.refusals):
            await self._put_refused_away(tended, rel)
        ended_at = asyncio.get_running_loop().time()
        delay_seconds = max(min(delay_seconds * 2, AGAIN_MAX_SECONDS), (ended_at - now) / AGAIN_SHARE)
        self._again[tended] = (ended_at + delay_seconds, delay_seconds)

    def _later(self, tended: Tended) -> None:
        self._again[tended] = (asyncio.get_running_loop().time() + AGAIN_MIN_SECONDS, AGAIN_MIN_SECONDS)


def content_of(place: Place, sha256: str, job_id: str) -> Content | None:
    """The row by which a watched folder knows a content again; Drop runs whatever is dropped."""
    return Content(place.root, place.preset, sha256, job_id) if place.kind == "watch" else None


def sha256_of(path: str) -> str:
    """Hashes a whole file. Raises OSError, also for what is no ordinary file: reading a pipe would never end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not an ordinary file", path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _put_away(place: Place, rel: str, job: Job | None) -> None:
    path = Path(place.path(rel))
    if job is not None and job.state == "delivered":
        put_away(path, _folder(place, rel, DONE))
        return
    problem = _UNKNOWN_JOB if job is None else job.error or _NO_REASON
    report = report_of(problem, path.name, None if job is None else job.id, None if job is None else job.charged_usd)
    put_away(path, _folder(place, rel, FAILED), report)


def _folder(place: Place, rel: str, name: str) -> Path:
    """`_Done` or `_Failed`; below it the sub-folder of a recursive entry, while Drop's presets all share one."""
    below = os.path.dirname(rel) if place.kind == "watch" else ""
    return Path(place.root) / name / below


def _has_changed(path: Path, refusal: Refusal) -> bool:
    """Whether the file is another one than was refused. Raises FileNotFoundError."""
    status = path.lstat()
    if refusal.what == "folder" or path.is_symlink():
        return False
    return (status.st_size, status.st_mtime_ns) != refusal.mark


def _is_another(path: str, row: Arrival) -> bool:
    """Whether what lies there now is not what the job was made of. What was taken unfinished counts as the same."""
    try:
        status = os.stat(path)
    except OSError:
        return False
    if (status.st_size, status.st_mtime_ns) == row.mark or row.sha256 is None:
        return False
    try:
        return sha256_of(path) != row.sha256
    except OSError:
        return True


def _as_it_is(path: str) -> tuple[int, int, str] | None:
    """Size, time and hash of a file that nobody changed meanwhile, or None."""
    try:
        before = os.stat(path)
        sha256 = sha256_of(path)
        after = os.stat(path)
    except OSError:
        return None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        return None
    return after.st_size, after.st_mtime_ns, sha256


def _facts(tended: Tended, rel: str, job_id: str | None) -> dict[str, str | None]:
    return {"folder": tended.place.root, "file": readable(rel), "job": job_id}
