"""Looks after one folder: scans it from time to time, follows hints in between, hands on each file that came to rest.

The scan is the truth; an event only says where to look sooner. What becomes of a file is `folder_take`'s to decide.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.audio.container import check_whole
from bridge.desktop.filesystems import is_network_path, is_open_for_writing
from bridge.errors import ClipError, SourceUnfinished
from bridge.job import Problem, seconds_of, timestamp
from bridge.presets import Presets
from bridge.store.folders import Arrival, Content, Memory
from bridge.triggers.folder_names import readable
from bridge.triggers.folder_place import Place, Seen, look, scan
from bridge.triggers.folder_settle import Settling
from bridge.triggers.folder_watch import Watcher

log = logging.getLogger(__name__)

SCAN_SECONDS: Final = 10.0  # the net below the events
SCAN_BLIND_SECONDS: Final = 2.0  # where the system gives no events
SCAN_NETWORK_SECONDS: Final = 5.0
MISSING_SECONDS: Final = 2.0  # how often a folder that is not there is looked for
WELL_SECONDS: Final = 2.0  # how often it is seen to that the events still come
# A scan may take this part of all time: a folder of 10,000 files (some 40 ms) is scanned every 40 s beside the events.
SCAN_SHARE: Final = 0.001
SCAN_SHARE_BLIND: Final = 0.01
SCAN_AGAIN_SECONDS: Final = 0.05  # between scans that events ask for
NETWORK_SETTLE_SECONDS: Final = 4.0  # the time of a file on a share can be as coarse as two seconds
OTHER_SETTLE_SECONDS: Final = 2.0  # what is no clip is not touched before its writer surely is done with it
TROUBLE_SECONDS: Final = 5.0
GONE_SECONDS: Final = 30.0
LOOKS_AT_ONCE: Final = 64
HINTS_MAX: Final = 10_000
NOT_THERE_YET: Final = "~"  # before a baseline's time: the folder itself was missing then

Offer = Callable[["Tended", Seen, bool], None]


@dataclass(frozen=True)
class Refusal:
    """A file that was refused and could not be put away: as it was, and why."""

    mark: tuple[int, int]
    problem: Problem
    what: str


class Tended:
    """One place and what is known of its files; `offer(tended, seen, unfinished)` gets each to be decided about."""

    def __init__(
        self,
        place: Place,
        memory: Memory,
        presets: Presets,
        offer: Offer,
        after_scan: Callable[[Tended], Awaitable[None]],
        patience_seconds: float,
    ) -> None:
        self.place = place
        self.rows: dict[str, Arrival] = {}
        self.refusals: dict[str, Refusal] = {}
        self.known_marks: set[tuple[int, int]] = set()
        self.sighted = asyncio.Event()  # the folder was looked at once, or is not there
        self._memory = memory
        self._presets = presets
        self._offer = offer
        self._after_scan = after_scan
        self._patience_seconds = patience_seconds
        self._loop = asyncio.get_running_loop()
        self._watcher = Watcher(place.root, recursive=place.recursive or place.kind == "drop", hint=self._hint)
        self._poke = asyncio.Event()
        self._hints: dict[str, bool] = {}
        self._pending: dict[str, tuple[Settling, float]] = {}
        self._in_hand: dict[str, bool | None] = {}
        self._gone: dict[str, float] = {}
        self._mentioned: set[str] = set()
        self._baseline: str | None = None
        self._there: bool | None = None
        self._network = False
        self._has_events = False
        self._scan_at = 0.0
        self._scanned_at = 0.0
        self._scan_took = 0.0

    # ---- what is known -----------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Reads what earlier runs knew of this place."""
        self.rows = await self._memory.load(self.place.key)
        self._baseline = await self._memory.baseline(self.place.key)
        if self.place.entry is not None and self.place.entry.existing == "take":
            self.rows = {rel: row for rel, row in self.rows.items() if row.state != "known"}
        self.known_marks = {row.mark for row in self.rows.values() if row.state == "known"}

    def remember(self, rel: str, row: Arrival | None, content: Content | None = None) -> asyncio.Future[None]:
        """Notes what was decided about a file; None forgets it. Known at once; when the future is done it is on disk."""
        if row is None:
            self.rows.pop(rel, None)
        else:
            self.rows[rel] = row
            if row.state == "known":
                self.known_marks.add(row.mark)
        return self._memory.put(self.place.key, {rel: row}, content)

    def is_decided(self, seen: Seen) -> bool:
        """Whether this file, as it lies there now, has had its decision."""
        row, refusal = self.rows.get(seen.rel), self.refusals.get(seen.rel)
        return (row is not None and row.mark == seen.mark) or (refusal is not None and refusal.mark == seen.mark)

    def decided(self, rel: str) -> None:
        """The file that was offered is no longer in hand; what was heard of it meanwhile is followed up."""
        heard = self._in_hand.pop(rel, None)
        if heard is not None:
            self._hinted(rel, heard)

    def look_again(self, rel: str) -> None:
        """The offered file changed before it could be decided about."""
        if rel in self._in_hand:
            self._in_hand[rel] = bool(self._in_hand[rel])
        else:
            self._hinted(rel, False)

    async def listed(self) -> list[Seen]:
        """What lies in the place now. Raises OSError where it cannot be listed."""
        return await asyncio.to_thread(self._scan_now)

    # ---- the round ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Looks after the folder until cancelled; no trouble with a file or a disk ends it."""
        while True:
            try:
                if self._loop.time() >= self._scan_at:
                    await self._scan()
                await self._examine()
                await self._pause()
                if self._has_events and not await asyncio.to_thread(self._watcher.is_well):
                    self._scan_at = self._loop.time()
            except Exception:
                log.exception("trouble in a folder", extra={"facts": {"folder": self.place.root}})
                self._scan_at = self._loop.time() + TROUBLE_SECONDS
                await asyncio.sleep(TROUBLE_SECONDS)

    def stop(self) -> None:
        """Ends the observer. Blocks for a moment: for a thread."""
        self._watcher.stop()

    async def _pause(self) -> None:
        at = min([self._scan_at, self._loop.time() + WELL_SECONDS, *(due for _, due in self._pending.values())])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(at):
                await self._poke.wait()
        self._poke.clear()

    def _hint(self, rel: str, closed: bool) -> None:
        """Called in watchdog's threads."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._hinted, rel, closed)

    def _hinted(self, rel: str, closed: bool) -> None:
        if rel and rel in self._in_hand:
            self._in_hand[rel] = bool(self._in_hand[rel]) or closed
            return
        if rel and len(self._hints) < HINTS_MAX:
            self._hints[rel] = self._hints.get(rel, False) or closed
        else:
            self._hints = {} if not rel and len(self._hints) >= HINTS_MAX else self._hints
            soon = self._scanned_at + max(SCAN_AGAIN_SECONDS, self._scan_took / SCAN_SHARE_BLIND / 10)
            self._scan_at = min(self._scan_at, max(soon, self._loop.time()))
        self._poke.set()

    # ---- scans -------------------------------------------------------------------------------------------------------

    async def _scan(self) -> None:
        self._has_events = await asyncio.to_thread(self._arm)
        self._scan_at = math.inf  # from here on only what is heard during the scan asks for another one
        started = self._loop.time()
        try:
            found = await self.listed()
        except OSError as error:
            await self._missing(error)
            return
        if self._there is False:
            log.info("a folder is there again", extra={"facts": {"folder": self.place.root}})
        self._there = True
        self._scanned_at = self._loop.time()
        self._scan_took = self._scanned_at - started
        await self._first_sight(found)
        self.sighted.set()
        self._settle(seen for seen in found if not self.is_decided(seen))
        await self._forget_gone({seen.rel for seen in found})
        await self._after_scan(self)
        base = SCAN_SECONDS if self._has_events else SCAN_NETWORK_SECONDS if self._network else SCAN_BLIND_SECONDS
        share = SCAN_SHARE if self._has_events else SCAN_SHARE_BLIND
        self._scan_at = min(self._scan_at, self._scanned_at + max(base, self._scan_took / share))

    def _arm(self) -> bool:
        if not self._there:  # at the start, and after a disk was away: it may be another one now
            self._network = is_network_path(self.place.root)
        # what other machines change on a share makes no events here
        return not self._network and self._watcher.tend()

    def _scan_now(self) -> list[Seen]:
        return scan(self.place, _Names(self._presets), self._mention)

    async def _missing(self, error: OSError) -> None:
        if self._there is not False:
            facts = {"folder": self.place.root, "reason": error.strerror}
            log.warning("a folder cannot be looked at; it is waited for", extra={"facts": facts})
        self._there = False
        self._scan_at = self._loop.time() + MISSING_SECONDS
        if self.place.kind == "drop" and await asyncio.to_thread(_remade, self.place.root):
            self._scan_at = self._loop.time()
        elif self._baseline is None and self.place.entry is not None:
            self._baseline = NOT_THERE_YET + timestamp()
            await self._memory.set_baseline(self.place.key, self._baseline, {})
        self.sighted.set()

    async def _first_sight(self, found: list[Seen]) -> None:
        """Draws the line between what was there before the entry and what arrives after it."""
        entry, at = self.place.entry, self._baseline
        if entry is None or (at is not None and not at.startswith(NOT_THERE_YET)):
            return
        before = found
        if entry.existing == "take":
            before = []
        elif at is not None:
            # the entry is older than the folder: what somebody wrote since then is new, what came with a disk is not
            since_ns = seconds_of(at.removeprefix(NOT_THERE_YET)) * 1e9
            before = [seen for seen in found if seen.modified_ns < since_ns]
        rows = {seen.rel: Arrival(*seen.mark, "known") for seen in before}
        self._baseline = timestamp()
        await self._memory.set_baseline(self.place.key, self._baseline, rows)
        self.rows |= rows
        self.known_marks |= {row.mark for row in rows.values()}

    async def _forget_gone(self, there: Collection[str]) -> None:
        """Forgets a file that could not be moved and was then taken away: dropped again, it is a new wish."""
        for rel in [rel for rel in self.refusals if rel not in there]:
            del self.refusals[rel]
        now = self._loop.time()
        left = [rel for rel, row in self.rows.items() if row.state == "left" and rel not in there]
        self._gone = {rel: self._gone.get(rel, now) for rel in left}
        for rel in left:
            if now - self._gone[rel] > GONE_SECONDS:
                await self.remember(rel, None)

    def _mention(self, rel: str, why: str) -> None:
        if rel not in self._mentioned:
            self._mentioned.add(rel)
            facts = {"folder": self.place.root, "file": readable(rel), "reason": why}
            log.warning("a file is passed over", extra={"facts": facts})

    # ---- coming to rest ----------------------------------------------------------------------------------------------

    def _settle(self, found: Iterable[Seen]) -> None:
        now = self._loop.time()
        for seen in found:
            if seen.rel not in self._pending and seen.rel not in self._in_hand:
                settling = self._settling(seen, now)
                self._pending[seen.rel] = (settling, settling.next_look(now))

    def _settling(self, seen: Seen, now: float) -> Settling:
        least = OTHER_SETTLE_SECONDS if seen.what == "other" else NETWORK_SETTLE_SECONDS if self._network else 0.0
        return Settling(max(self.place.settle_seconds, least), seen.mark, now)

    async def _examine(self) -> None:
        """Looks at what is due and at what was hinted at, oldest first, a bounded number at a time."""
        now = self._loop.time()
        due = {rel: False for rel, (_, at) in self._pending.items() if at <= now}
        due |= {rel: closed for rel, closed in self._hints.items() if rel not in self._in_hand}
        self._hints = {}
        order = sorted(due, key=lambda rel: (self._pending[rel][0].mark[1] if rel in self._pending else 0, rel))
        for start in range(0, len(order), LOOKS_AT_ONCE):
            batch = [
                (rel, due[rel], self._pending[rel][0] if rel in self._pending else None)
                for rel in order[start : start + LOOKS_AT_ONCE]
            ]
            for rel, outcome in await asyncio.to_thread(self._look_at, batch):
                self._pending.pop(rel, None)
                if isinstance(outcome, Settling):
                    self._pending[rel] = (outcome, outcome.next_look(self._loop.time()))
                elif outcome is not None:
                    self._in_hand[rel] = None
                    self._offer(self, *outcome)

    def _look_at(
        self, batch: list[tuple[str, bool, Settling | None]]
    ) -> list[tuple[str, Settling | tuple[Seen, bool] | None]]:
        """For each path: its settling if that goes on; the file, and whether it is unfinished, if it is ready; None."""
        presets = _Names(self._presets)
        outcomes: list[tuple[str, Settling | tuple[Seen, bool] | None]] = []
        for rel, closed, settling in batch:
            seen = look(self.place, rel, presets, self._mention)
            if seen is None or self.is_decided(seen):
                outcomes.append((rel, None))
                continue
            now = self._loop.time()
            settling = settling or self._settling(seen, now)
            settling.saw(now, seen.mark, closed=closed and seen.what != "other")
            is_ready, unfinished = self._verdict(seen, settling, now)
            outcomes.append((rel, (seen, unfinished) if is_ready else settling))
        return outcomes

    def _verdict(self, seen: Seen, settling: Settling, now: float) -> tuple[bool, bool]:
        """Whether the file is to be decided about now, and whether it looks unfinished."""
        rests = settling.rests(now)
        if seen.what in {"other", "folder"}:
            return rests, False
        if not rests and not settling.is_overdue(now):
            return False, False
        path = self.place.path(seen.rel)
        try:
            check_whole(path)
        except SourceUnfinished:
            return settling.is_overdue(now), True
        except ClipError:
            return rests, False  # intake will say what is wrong with it
        if rests and not self._network and is_open_for_writing(path):
            # whole by its own account, but a writer still has it: one that rewrites it in place, say
            return settling.quiet_seconds(now) >= self._patience_seconds, False
        return rests, False


class _Names:
    """The presets' names, read only if somebody asks for one: most files need none."""

    def __init__(self, presets: Presets) -> None:
        self._presets = presets
        self._names: frozenset[str] | None = None

    def __contains__(self, name: object) -> bool:
        if self._names is None:
            self._names = frozenset(self._presets.names())
        return name in self._names


def _remade(root: str) -> bool:
    """Makes Drop anew where somebody removed it, but not the disk or folder it lay in."""
    try:
        Path(root).mkdir()
    except OSError:
        return False
    return True
