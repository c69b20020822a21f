"""Killed at any moment, as often as you like: every job is delivered exactly once, exact, and nothing lies around."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile

from bridge.config import Config
from bridge.engine import Engine
from bridge.home import Home
from bridge.job import Job, Take
from bridge.pipeline import conform, deliver
from bridge.store.jobs import Event
from tests.integration.core_bench import Bench, Service, noise, samples, write_clip

REPOSITORY = Path(__file__).parents[2]
SEEDS = [int(seed) for seed in os.environ.get("CHAOS_SEEDS", "1 2").split()]
KILLS = 12
DEADLINE_SECONDS = 60.0
posix = pytest.mark.skipif(sys.platform == "win32", reason="only on systems where files can have two names")


# ---- a real process, killed at random moments -------------------------------------------------------------------------


def wishes(folder: Path) -> list[dict[str, Any]]:
    """Twenty jobs of every kind; several ask for the very same, into the same folder."""
    same = write_clip(folder / "same.wav", frames=24_001, rate=44_100, subtype="PCM_24")
    mono = write_clip(folder / "mono.wav", frames=9_001, rate=48_000, channels=1, subtype="PCM_16", seed=2)
    float_ = write_clip(folder / "float.wav", frames=12_001, rate=96_000, subtype="FLOAT", seed=3)
    quiet = folder / "quiet.wav"
    soundfile.write(quiet, noise(24_000, 2, 4) * 0.02, 48_000, subtype="PCM_24")
    kinds: list[dict[str, Any]] = [
        {"source": str(same), "strength": 0},
        {"source": str(same), "provider": "loopback", "match_loudness": False},
        {"source": str(mono), "provider": "loopback", "variations": 2},
        {"source": str(float_), "strength": 0, "region": {"start": 1_000, "end": 11_001, "unit": "frames"}},
        {"source": str(quiet), "provider": "dsp", "variations": 2, "prompt": "distorted, huge hall", "strength": 0.9},
    ]
    return [{**kinds[number % 5], "seed": 7, "client_id": f"chaos/{number}"} for number in range(20)]


class Process:
    """One run of the driver."""

    def __init__(self, home: Path, file: Path) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.driver", str(home), str(file)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY,
        )  # fmt: skip

    def events(self) -> Iterator[bytes]:
        assert self._popen.stdout is not None
        yield from self._popen.stdout

    def kill(self) -> bool:
        """Kills it; whether it was still at work."""
        at_work = self._popen.poll() is None
        audio = psutil.Process(self._popen.pid).children(recursive=True) if at_work else []
        self._popen.kill()
        self._popen.communicate()
        _wait_until_gone(audio)
        return at_work

    def result(self) -> tuple[int, str]:
        _, told = self._popen.communicate(timeout=DEADLINE_SECONDS)
        return self._popen.returncode, told.decode()


def _wait_until_gone(processes: list[psutil.Process]) -> None:
    """Audio processes leave by themselves when their daemon is gone."""
    gives_up_at = time.monotonic() + DEADLINE_SECONDS
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            while process.status() != psutil.STATUS_ZOMBIE:
                assert time.monotonic() < gives_up_at, "an audio process outlived its daemon"
                time.sleep(0.002)


async def takes_of(home: Path) -> tuple[dict[str, Job], Counter[str]]:
    """The jobs by their client's name, and how often each was told to be delivered."""
    engine = Engine(Home.at(home), Config())
    await engine.start(resume=False)
    jobs = {job.request.client_id or "": job for job in (await engine.jobs.page(limit=100)).jobs}
    told = [json.loads(event.job_json) for event in await engine.jobs.events_since(0, limit=1_000_000)]
    await engine.stop()
    return jobs, Counter(one["request"]["client_id"] for one in told if one["state"] == "delivered")


def run_to_the_end(home: Path, file: Path) -> None:
    status, told = Process(home, file).result()
    assert status == 0, told


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wishes, and a home on which they were all fulfilled without a single kill."""
    folder = tmp_path_factory.mktemp("untouched")
    (folder / "wishes.json").write_text(json.dumps(wishes(folder)))
    run_to_the_end(folder / "home", folder / "wishes.json")
    return folder


@posix
@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_twenty_jobs_are_each_delivered_exactly_once_however_often_the_daemon_is_killed(
    untouched: Path, tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, file, kills = random.Random(seed), untouched / "wishes.json", 0
    for _ in range(KILLS):
        process = Process(tmp_path / "home", file)
        patience = rng.choice(
            (0, 1, 2, 3, 5, 8, 13, 21)
        )  # events to let pass, so that every run gets somewhere or nowhere
        for _, _event in zip(range(patience), process.events(), strict=False):
            pass
        # then anywhere within the next event
        moment = time.perf_counter() + rng.random() * 0.03
        while time.perf_counter() < moment:
            pass
        kills += process.kill()
    run_to_the_end(tmp_path / "home", file)
    with capsys.disabled():
        print(f" [seed {seed}: killed {kills} times]", end="")

    jobs, told = asyncio.run(takes_of(tmp_path / "home"))
    expected, _ = asyncio.run(takes_of(untouched / "home"))
    assert set(jobs) == set(expected)
    assert len(jobs) == 20
    assert told == Counter(dict.fromkeys(jobs, 1)), "told as delivered once each"
    for name, job in jobs.items():
        assert job.state == "delivered", job.error
        assert [take.sha256 for take in job.takes] == [take.sha256 for take in expected[name].takes]
    check_results(tmp_path / "home" / "Results", list(jobs.values()))
    copied = jobs["chaos/0"].takes[0]
    assert np.array_equal(samples(Path(copied.path)), samples(untouched / "same.wav"))


def check_results(results: Path, jobs: list[Job]) -> None:
    """In the folder lies what the jobs say: whole takes, each with its own provenance, and nothing else."""
    takes: list[tuple[Job, Take]] = [(job, take) for job in jobs for take in job.takes]
    paths = [Path(take.path) for _, take in takes]
    assert len(set(paths)) == len(paths)
    for job, take in takes:
        path = Path(take.path)
        assert take.placed
        assert hashlib.sha256(path.read_bytes()).hexdigest() == take.sha256
        assert path.stat().st_nlink == 1
        assert soundfile.info(path).frames == take.frames
        side = json.loads(path.with_suffix(".clipbridge.json").read_text("utf-8"))
        assert (side["job"], side["take"]["sha256"]) == (job.id, take.sha256)
    expected = {path.name for path in paths} | {path.with_suffix(".clipbridge.json").name for path in paths}
    rest = {path.name for path in results.iterdir()} - expected
    assert {name for name in rest if not name.endswith(" raw.wav")} == set()
    stems = {path.stem for path in paths}
    assert {name.removesuffix(" raw.wav") for name in rest} <= stems


# ---- a kill at every single change ------------------------------------------------------------------------------------


@contextlib.contextmanager
def told_of_every_step(look: Callable[[], object]) -> Iterator[None]:
    """Calls `look` before and after each step by which files get their names in a results folder."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((os, "link"), (Path, "unlink"), (Path, "replace")):
            real = getattr(owner, name)

            def step(*given: Any, real: Any = real, **how: Any) -> Any:
                if "Results" not in str(given[0]):
                    return real(*given, **how)
                look()
                try:
                    return real(*given, **how)
                finally:
                    look()

            patch.setattr(owner, name, step)
        yield


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    service = Service()
    service.gain = 0.25  # so that the untouched take is kept, too
    async with Bench(tmp_path, service) as made:
        yield made


async def homes_at_every_step(bench: Bench, wish: dict[str, Any]) -> tuple[Job, list[Path]]:
    """A delivered job, and what a kill would have left at each of its events and each step of its delivery."""
    copies: list[Path] = []

    def keep(*_: object) -> None:
        copies.append(bench.copy_home())

    source = bench.root / "quiet.wav"
    soundfile.write(source, noise(9_001, 2, 4) * 0.02, 44_100, subtype="PCM_24")
    forget = bench.engine.events.subscribe(keep)
    with told_of_every_step(keep):
        job = await bench.delivered(source, seed=7, **wish)
    forget()
    return job, copies


@pytest.mark.slow
@pytest.mark.parametrize(
    "wish",
    [
        {"strength": 0},
        {"provider": "dsp", "prompt": "distorted, huge hall", "strength": 0.9, "preset": "matched"},
        {"provider": "stability", "preset": "matched"},
    ],
    ids=["copy", "dsp", "paid and raw"],
)
async def test_after_a_kill_at_any_change_the_job_ends_as_if_nothing_had_been(
    bench: Bench, wish: dict[str, Any]
) -> None:
    job, copies = await homes_at_every_step(bench, wish)
    expected = {path.name for path in bench.results.iterdir()}
    assert len(copies) >= 10
    assert isinstance(bench.service, Service)
    assert any(name.endswith(" raw.wav") for name in expected) == (wish.get("provider") == "stability")
    for copy in copies:
        asked = len(bench.service.asked)
        await bench.run_on(copy)
        ended = await bench.ended(job)
        if ended.state == "uncertain":
            # the one moment in which nobody can know: it was asked, and no answer is on disk
            assert wish.get("provider") == "stability"
            assert len(bench.service.asked) == asked
            assert not list(bench.results.iterdir())
            continue
        assert ended.state == "delivered", ended.error
        assert [take.sha256 for take in ended.takes] == [take.sha256 for take in job.takes]
        check_results(bench.results, [ended])
        assert {path.name for path in bench.results.iterdir()} == expected
        assert sum(json.loads(event.job_json)["state"] == "delivered" for event in await bench.events(job)) == 1


async def test_a_kill_while_two_jobs_want_one_name_gives_each_its_own_take(bench: Bench) -> None:
    """The first has written down the name and not taken it; then another of equal content takes it; then the kill."""
    source = bench.clip()
    taken = bench.results / "clip [default].wav"
    copies: list[Path] = []
    real = deliver.place

    def place(hidden: Path, target: Path) -> None:
        if target == taken and not copies:
            target.write_bytes(hidden.read_bytes())
            copies.append(bench.copy_home())
        real(hidden, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deliver, "place", place)
        job = await bench.delivered(source, strength=0)
    await bench.run_on(copies.pop())

    def keep(_event: Event, seen: Job) -> None:
        if seen.state == "conforming" and not copies:
            copies.append(bench.copy_home())  # and one more kill, while the take is made anew

    bench.engine.events.subscribe(keep)
    for run in ("after the first kill", "after the second"):
        ended = await bench.ended(job)
        assert Path(ended.takes[0].path) != taken, run
        assert Path(ended.takes[0].path).is_file()
        assert taken.is_file()
        assert bench.leftovers() == []
        if copies:
            await bench.run_on(copies.pop())


async def test_a_hidden_file_that_is_a_second_name_of_a_take_is_never_written_over(bench: Bench) -> None:
    """A kill between the two steps of the renaming, and the person edits the take before the next start."""
    source = bench.clip()
    copies: list[Path] = []
    real = os.link

    def link(hidden: Path, target: Path, **how: Any) -> None:
        real(hidden, target, **how)
        copies.append(bench.copy_home())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "link", link)
        job = await bench.delivered(source, strength=0)
    await bench.engine.stop()
    taken = bench.results / "clip [default].wav"
    copy = copies[0] / "Results"
    assert conform.hidden_file(copy, job, 1).samefile(copy / taken.name)
    with (copy / taken.name).open("r+b") as file:
        file.seek(100)
        file.write(b"edited by a person")
    edited = (copy / taken.name).read_bytes()
    await bench.start()
    await bench.run_on(copies[0])
    ended = await bench.ended(job)
    assert ended.state == "delivered"
    assert taken.read_bytes() == edited
    assert bench.leftovers() == []
