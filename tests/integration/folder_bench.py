"""A home with a real engine and a real folder trigger, for the tests of Drop and of watched folders."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bridge.config import Config
from bridge.engine import Engine
from bridge.home import Home
from bridge.job import Job
from bridge.triggers.folder import FolderTrigger

DEADLINE_SECONDS = 30.0
# strength 0 is a copy of the clip: the whole way of a job, at the speed of the disk
PRESETS = {
    "default": 'prompt = "tape"\nstrength = 0.0\n',
    "lo-fi-tape": 'prompt = "lo-fi"\nstrength = 0.0\nprovider = "loopback"\n',
    "no-such-file": "strength = 0.0\n",
}


class Bench:
    """`async with Bench(folder) as bench:` starts everything; `restart` is a new run on the same home."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.root = root
        self.home = Home.at(root / "home")
        self.settings = settings

    @property
    def drop(self) -> Path:
        return self.home.drop_dir

    @property
    def done(self) -> Path:
        return self.drop / "_Done"

    @property
    def failed(self) -> Path:
        return self.drop / "_Failed"

    @property
    def results(self) -> Path:
        return self.home.results_dir

    async def __aenter__(self) -> Bench:
        self.home.prepare()
        for name, text in PRESETS.items():
            (self.home.presets_dir / f"{name}.toml").write_text(text)
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self.engine = Engine(self.home, Config.model_validate(self.settings))
        await self.engine.start(resume=True)
        await self.start_trigger()

    async def stop(self) -> None:
        await self.trigger.stop()
        await self.engine.stop()

    async def restart(self, **settings: Any) -> None:
        await self.stop()
        self.settings = settings or self.settings
        await self.start()

    async def start_trigger(self) -> None:
        self.trigger = FolderTrigger(self.engine)
        await self.trigger.start()

    # ---- waiting -----------------------------------------------------------------------------------------------------

    async def until(self, holds: Callable[[], bool | Awaitable[bool]], what: str) -> None:
        """Waits for something to become true; fails with a word on what did not."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            answer = holds()
            if answer if isinstance(answer, bool) else await answer:
                return
            if time.monotonic() > deadline:
                jobs = [(job.clip_name, job.state, job.message) for job in await self.jobs()]
                raise AssertionError(f"{what}: not within {DEADLINE_SECONDS:g} s; jobs {jobs}, files {self.files()}")
            await asyncio.sleep(0.02)

    async def until_there(self, *paths: Path) -> None:
        for path in paths:
            await self.until(path.exists, f"{path} is there")

    async def until_jobs(self, count: int, state: str = "delivered") -> list[Job]:
        async def are_there() -> bool:
            return sum(job.state == state for job in await self.jobs()) >= count

        await self.until(are_there, f"{count} jobs are {state}")
        return await self.jobs()

    async def until_state(self, job_id: str, state: str) -> Job:
        async def is_so() -> bool:
            job = await self.engine.jobs.get(job_id)
            return job is not None and job.state == state

        await self.until(is_so, f"job {job_id} is {state}")
        job = await self.engine.jobs.get(job_id)
        assert job is not None
        return job

    async def pass_by(self, folder: Path, name: str = "a later clip.wav") -> None:
        """Lets a later clip go all the way: whatever was to happen to an earlier one has happened by then.

        A folder is examined oldest first, so this is how a test sees that something does *not* happen.
        """
        before = len(await self.jobs())
        clip(folder / name, seed=len(name) + before)
        await self.until_jobs_of(name.removesuffix(".wav"))

    async def until_jobs_of(self, clip_name: str) -> Job:
        async def is_there() -> bool:
            return any(job.clip_name == clip_name and not job.living for job in await self.jobs())

        await self.until(is_there, f"a job of {clip_name} has ended")
        return next(job for job in await self.jobs() if job.clip_name == clip_name)

    async def scanned(self, times: int = 2) -> None:
        """Waits until every place was scanned anew, by asking for it as an event does."""
        for _ in range(times):
            for tended in self.trigger._places:
                before = tended._scanned_at
                tended._hinted("", False)
                await self.until(lambda t=tended, b=before: t._scanned_at > b or t._there is False, "a scan")

    async def jobs(self) -> list[Job]:
        """All jobs, in the order they came."""
        return list(reversed((await self.engine.jobs.page(limit=5_000)).jobs))

    def files(self) -> list[str]:
        """What lies in Drop and Results, by path below the home."""
        folders = (self.drop, self.results)
        return sorted(str(path.relative_to(self.home.root)) for folder in folders for path in folder.rglob("*"))


def clip(path: Path, *, seconds: float = 0.25, seed: int = 1, samplerate: int = 48_000) -> Path:
    """Writes a short stereo clip of noise; each seed is another content. The file appears whole, by a rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).uniform(-0.3, 0.3, (round(seconds * samplerate), 2))
    hidden = path.with_name(f".{abs(hash(path.name)):x}.part")
    soundfile.write(hidden, noise, samplerate, "PCM_16", format="WAV")
    hidden.rename(path)
    return path


def clip_bytes(seconds: float = 0.25, seed: int = 1) -> bytes:
    """The same as bytes, for tests that write in their own way."""
    import io

    memory = io.BytesIO()
    noise = np.random.default_rng(seed).uniform(-0.3, 0.3, (round(seconds * 48_000), 2))
    soundfile.write(memory, noise, 48_000, "PCM_16", format="WAV")
    return memory.getvalue()
