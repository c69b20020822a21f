"""Brings takes under their names and remembers it, so that a kill at any moment neither loses nor doubles one.

The order is what counts: the name is on disk before the file has it. How files are placed is `deliver.py`'s.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from bridge.home import Home
from bridge.job import Call, Job, Take
from bridge.pipeline import conform, deliver
from bridge.pipeline.board import Board
from bridge.pipeline.prepare import Prepared
from bridge.pipeline.provenance import provenance


class Placing:
    """The deliveries of one daemon."""

    def __init__(self, home: Home, board: Board) -> None:
        self._home = home
        self._board = board

    def folder(self, job_id: str) -> Path:
        """Where the takes of the job go."""
        return Path(self._board.job(job_id).request.deliver_to or self._home.results_dir)

    async def deliver(
        self, job_id: str, call: Call | None, number: int, made: conform.Conformed, prepared: Prepared
    ) -> None:
        """Gives the take its name. The name is on disk before the file has it, so a crash in between is understood."""
        job, folder = self._board.job(job_id), made.file.parent
        facts = made.facts
        try:
            for stem in deliver.free_stems(folder, job.clip_name, job.request.preset or "", number):
                target = folder / f"{stem}.wav"
                take = Take(
                    path=str(target),
                    take=number,
                    seed=None if call is None else call.seed,
                    frames=facts["frames"],
                    samplerate=facts["samplerate"],
                    channels=facts["channels"],
                    subtype=facts["subtype"],
                    lufs=_shown(facts["lufs"]),
                    source_lufs=_shown(prepared.lufs) if job.request.match_loudness and call is not None else None,
                    true_peak_dbtp=_shown(facts["true_peak_dbtp"]),
                    notes=(*(call.notes if call else ()), *made.notes),
                    sha256=facts["sha256"],
                )
                await self._board.change_take(job_id, take)
                try:
                    await asyncio.to_thread(deliver.place, made.file, target)
                except FileExistsError:
                    continue  # somebody was faster; the next name
                if made.raw is not None:
                    await asyncio.to_thread(deliver.place, made.raw, target.with_name(f"{stem}{deliver.RAW}"))
                break
            await self._placed(job_id, call, take, prepared)
        except OSError as error:
            raise conform.delivery_failed(folder, error) from None

    async def _placed(self, job_id: str, call: Call | None, take: Take, prepared: Prepared) -> None:
        job, path = self._board.job(job_id), Path(take.path)
        content = provenance(job, call, take, prepared)
        hidden = conform.hidden_file(path.parent, job, take.take, "side")
        await asyncio.to_thread(deliver.write_side_file, path, content, hidden)
        self._board.change_take(job_id, take.model_copy(update={"placed": True}))

    async def is_delivered(self, job_id: str, number: int, prepared: Prepared) -> bool:
        """Whether this take was delivered in an earlier run; finishes one that got its name just before a crash."""
        job = self._board.job(job_id)
        take = next((take for take in job.takes if take.take == number), None)
        if take is None or take.placed:
            return take is not None
        if await self._has_its_name(job, take):
            await self._finish_placing(job_id, take, prepared)
            return True
        await self._forget_name(job_id, take)
        return False

    async def _has_its_name(self, job: Job, take: Take) -> bool:
        target = Path(take.path)
        hidden = conform.hidden_file(target.parent, job, take.take)
        return await asyncio.to_thread(deliver.is_placed, hidden, target, take.sha256)

    async def _forget_name(self, job_id: str, take: Take) -> None:
        """Forgets, durably, the name that a take was about to get and did not.

        While such a name is remembered, a hidden file that is gone means that its take has it: so this comes before the
        hidden file goes. Else, after one more kill, another job's take of equal content would be taken for this one's.
        """
        others = tuple(known for known in self._board.job(job_id).takes if known.take != take.take)
        await self._board.change(job_id, takes=others)

    async def _finish_placing(self, job_id: str, take: Take, prepared: Prepared) -> None:
        job, target = self._board.job(job_id), Path(take.path)
        call = next((call for call in job.calls if call.take == take.take), None)
        raw = target.with_name(f"{target.stem}{deliver.RAW}")
        try:
            await asyncio.to_thread(conform.hidden_file(target.parent, job, take.take).unlink, missing_ok=True)
            await asyncio.to_thread(deliver.place_rest, conform.hidden_file(target.parent, job, take.take, "raw"), raw)
            await self._placed(job_id, call, take, prepared)
        except OSError as error:
            raise conform.delivery_failed(target.parent, error) from None

    async def clear(self, job: Job) -> None:
        """Forgets and removes what a job that ends early was in the middle of placing."""
        for take in job.takes:
            if not take.placed and not await self._has_its_name(job, take):
                await self._forget_name(job.id, take)
        await asyncio.to_thread(conform.sweep, self.folder(job.id), job)


def _shown(level_db: float | None) -> float | None:
    """To a hundredth: nobody hears less, and the meter is not surer."""
    return None if level_db is None else round(level_db, 2)
