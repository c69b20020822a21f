"""A home with a real engine, clips made to measure, and a paid service that remembers every word it was told.

For the tests of the core: what they share, and nothing that they promise.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import soundfile

from bridge.config import Config
from bridge.engine import Engine
from bridge.errors import ClipError
from bridge.home import Home
from bridge.intake import PERSON
from bridge.job import ENDS, Job, State, Trigger
from bridge.providers import Providers
from bridge.providers.base import Answer, Finished, Model, Price, Provider, Question, Running, Upload
from bridge.store.jobs import Event

DEADLINE_SECONDS = 40.0
LOOK_SECONDS = 0.005
PRICE_USD = 0.10
PRESETS = {
    "default": 'prompt = "warm tape"\nprovider = "loopback"\nmatch_loudness = false\n',
    "matched": 'prompt = "warm tape"\nprovider = "loopback"\n',
}
Frames = npt.NDArray[Any]
_link = os.link


async def until(condition: Callable[[], object], what: str) -> None:
    """Returns as soon as `condition()` is true; fails with `what` when it never is."""
    gives_up_at = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < gives_up_at, f"waited {DEADLINE_SECONDS:g} s in vain for {what}"
        await asyncio.sleep(LOOK_SECONDS)


def noise(frames: int, channels: int, seed: int = 1) -> Frames:
    """Something that no copy reproduces by chance, shape (frames, channels), half of full scale."""
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (frames, channels))


def write_clip(path: Path, frames: int = 4_801, rate: int = 48_000, channels: int = 2, **how: Any) -> Path:
    """A WAV (or what the name says) of noise; `subtype` as soundfile spells it, `seed` for another noise."""
    seed = how.pop("seed", 1)
    soundfile.write(path, noise(frames, channels, seed), rate, **{"subtype": "PCM_24", **how})
    return path


def samples(path: Path) -> Frames:
    """What is in a file, integers as they are: shape (frames, channels)."""
    with soundfile.SoundFile(path) as file:
        return file.read(dtype="float64" if file.subtype in {"FLOAT", "DOUBLE"} else "int32", always_2d=True)


class Service(Provider):
    """A paid service as strict as a real one: what it accepted it works on and charges, whoever still listens.

    It lives outside the engine, as services do: one `Service` sees several runs of the bridge.
    """

    name = "stability"
    models = (
        Model(
            "strict-1",
            kinds=frozenset({"transform"}),
            upload=Upload("wav", "PCM_16", 44_100, 2),
            input_max_seconds=60.0,
            price=Price(PRICE_USD),
        ),
    )

    def __init__(self, *, answers_later: bool = True, stoppable: bool = False) -> None:
        self.answers_later = answers_later
        self.stoppable = stoppable
        self.result_bytes: bytes | None = None  # what comes back instead of a sound
        self.gain = 1.0  # by what its results are louder than what it was sent
        self.asked: list[Question] = []
        self.looked: list[Running] = []
        self.stopped: list[str] = []
        self.ask_errors: list[Exception] = []  # raised by the next asks, in this order
        self.look_errors: list[Exception] = []
        self.refused: dict[str, ClipError] = {}  # by the call's label
        self.on_ask: Callable[[Question], None] = lambda question: None
        self.accepting = asyncio.Event()  # while it is not set, an answer to `ask` takes for ever
        self.rendering = asyncio.Event()  # while it is not set, `look` says: not yet
        self.accepting.set()
        self.rendering.set()

    async def ask(self, question: Question) -> Answer:
        self.asked.append(question)
        self.on_ask(question)
        if self.ask_errors:
            raise self.ask_errors.pop(0)
        await self.accepting.wait()
        if question.label in self.refused:
            raise self.refused[question.label]
        if not self.answers_later:
            return self._result(question)
        name = f"render-{len(self.asked)}"
        return Running(
            name, {"at": name}, progress=0.1, look_again_seconds=0.0, available_until="2030-01-01T00:00:00.000Z"
        )

    async def look(self, question: Question, running: Running) -> Answer:
        self.looked.append(running)
        if self.look_errors:
            raise self.look_errors.pop(0)
        if not self.rendering.is_set():
            return Running(running.provider_job_id, running.handle, progress=0.5, look_again_seconds=LOOK_SECONDS)
        return self._result(question)

    async def stop(self, running: Running) -> bool:
        self.stopped.append(running.provider_job_id)
        return self.stoppable

    def _result(self, question: Question) -> Finished:
        assert question.audio is not None
        file = question.work_dir / f"result-{question.label}.wav"
        if self.result_bytes is not None:
            file.write_bytes(self.result_bytes)
        else:
            data, rate = soundfile.read(question.audio, always_2d=True)
            soundfile.write(file, data * self.gain, rate, subtype="FLOAT" if self.gain != 1.0 else "PCM_16")
        return Finished(file, charged_usd=PRICE_USD, seed=question.seed, notes=("Made by the strict service.",))


class _WithService(Providers):
    service: Service

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._by_name[self.service.name] = self.service


class Bench:
    """`async with Bench(folder) as bench:` starts an engine on a home of its own; `restart` is a new run on it."""

    def __init__(self, root: Path, service: Service | None = None, **settings: Any) -> None:
        self.root = root
        self.home = Home.at(root / "home")
        self.service = service
        self.settings = settings
        self.engine: Engine
        self._copies = 0

    async def __aenter__(self) -> Bench:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engine.stop()

    async def start(self) -> None:
        self.home.prepare()
        for name, text in PRESETS.items():
            (self.home.presets_dir / f"{name}.toml").write_text(text)
        self.engine = Engine(self.home, Config.model_validate(self.settings))
        known: type[Providers] = Providers
        if self.service is not None:
            known = type("Known", (_WithService,), {"service": self.service})
        with mock.patch("bridge.engine.Providers", known):
            await self.engine.start(resume=True)

    async def restart(self) -> None:
        await self.engine.stop()
        await self.start()

    @contextlib.asynccontextmanager
    async def after_a_kill(self, name: str = "killed") -> AsyncIterator[Bench]:
        """A new run on the home as a kill at this very moment would leave it: what is on disk, and nothing else."""
        root = self.root / name
        shutil.copytree(self.home.root, root / "home")
        async with Bench(root, self.service, **self.settings) as bench:
            yield bench

    def copy_home(self) -> Path:
        """The home as a kill at this very moment would leave it, kept aside."""
        self._copies += 1
        copy, known = self.root / "copies" / str(self._copies), dict[int, str]()

        def copy_file(source: str, target: str) -> None:
            inode = os.stat(source).st_ino  # noqa: PTH116 (a step that tests listen to goes through pathlib)
            if inode in known:
                _link(known[inode], target)  # two names of one file stay that
            else:
                known[inode] = target
                shutil.copy2(source, target)

        shutil.copytree(self.home.root, copy, copy_function=copy_file)
        return copy

    async def run_on(self, copy: Path) -> None:
        """A new run, in the same place, on a home that was kept aside: everything since then never was."""
        await self.engine.stop()
        shutil.rmtree(self.home.root)
        copy.rename(self.home.root)
        await self.start()

    @property
    def results(self) -> Path:
        return self.home.results_dir

    def clip(self, name: str = "clip.wav", **how: Any) -> Path:
        return write_clip(self.root / name, **how)

    async def submit(
        self, source: Path | None = None, *, priority: int = PERSON, trigger: Trigger = "http", **request: Any
    ) -> Job:
        given = request if source is None else {"source": str(source), **request}
        return await self.engine.intake.submit(given, trigger=trigger, priority=priority)

    async def job(self, job_id: str) -> Job:
        """The job as it is on disk."""
        job = await self.engine.jobs.get(job_id)
        assert job is not None
        return job

    async def when(self, job_id: str, condition: Callable[[Job], object], what: str) -> Job:
        """The job as soon as the condition holds on disk."""
        changed = asyncio.Event()
        forget = self.engine.events.subscribe(lambda _event, _job: changed.set())
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while True:
                    changed.clear()
                    job = await self.job(job_id)
                    if condition(job):
                        return job
                    await changed.wait()
        except TimeoutError:
            job = await self.job(job_id)
            raise AssertionError(f"waited in vain for {what}; the job is {job.state}: {job.message}") from None
        finally:
            forget()

    async def reached(self, job: Job, state: State) -> None:
        """Returns as soon as the job was told to be in that state, if only for a moment."""

        async def told() -> bool:
            return any(json.loads(event.job_json)["state"] == state for event in await self.events(job))

        changed = asyncio.Event()
        forget = self.engine.events.subscribe(lambda _event, _job: changed.set())
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not await told():
                    await changed.wait()
                    changed.clear()
        except TimeoutError:
            raise AssertionError(f"waited in vain for job {job.id} to be {state}") from None
        finally:
            forget()

    async def ended(self, job: Job) -> Job:
        return await self.when(job.id, lambda seen: seen.state in ENDS, f"the end of job {job.id}")

    async def all_ended(self, jobs: list[Job]) -> list[Job]:
        return [await self.ended(job) for job in jobs]

    async def delivered(self, source: Path | None = None, **request: Any) -> Job:
        job = await self.ended(await self.submit(source, **request))
        assert job.state == "delivered", job.error
        return job

    async def events(self, job: Job | None = None) -> list[Event]:
        """All events in the store, of one job or of all."""
        found = await self.engine.jobs.events_since(0, limit=1_000_000)
        return [event for event in found if job is None or event.job_id == job.id]

    def on_disk(self, query: str) -> list[tuple[Any, ...]]:
        """What another program would read from the database file now."""
        with contextlib.closing(sqlite3.connect(f"file:{self.home.database}?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()

    def leftovers(self, folder: Path | None = None) -> list[str]:
        """Hidden and half files in a results folder; there should be none once the jobs have ended."""
        return sorted(path.name for path in (folder or self.results).iterdir() if path.name.startswith("."))
