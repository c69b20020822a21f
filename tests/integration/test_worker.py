"""The audio processes: one that falls takes nothing along, one that is not wanted any more ends, and nobody jumps the queue."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import ClipError, SourceUnfinished
from bridge.home import is_running
from bridge.worker import WorkerCrashed, Workers
from tests.integration.core_bench import noise, until, write_clip

LONG_SECONDS = 120  # of a clip: work enough to be interrupted in the middle of it
REPOSITORY = Path(__file__).parents[2]
linux = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux, which shows a process in /proc")


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    made = Workers(2)
    yield made
    await made.close()


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import numpy as np
    import soundfile

    path = tmp_path_factory.mktemp("long") / "long.wav"
    with soundfile.SoundFile(path, "w", 48_000, 2, subtype="PCM_16") as file:
        second = noise(48_000, 2).astype(np.float32)
        for _ in range(LONG_SECONDS):
            file.write(second)
    return path


def long_work(workers: Workers, clip: Path, target: Path, **how: Any) -> asyncio.Task[dict[str, Any]]:
    """A transform that takes longer than any of these tests lets it."""
    words = {"prompt": "warm tape, big hall, pitch up", "negative_prompt": "", "strength": 1.0, "seed": 1}
    return asyncio.create_task(workers.run("dsp", source_path=str(clip), target_path=str(target), **words, **how))


async def at_work(workers: Workers, target: Path) -> int:
    """The process that has begun to work on the target."""
    await until(lambda: any(target.parent.glob(f"{target.stem}*")), "an audio process to begin")
    (pid,) = workers.pids
    return pid


# ---- work -------------------------------------------------------------------------------------------------------------


async def test_a_task_answers_with_its_facts(workers: Workers, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.wav", frames=1_234, rate=44_100, channels=1, subtype="PCM_16")
    facts = await workers.run("inspect", path=str(clip))
    assert (facts["frames"], facts["samplerate"], facts["channels"], facts["subtype"]) == (1_234, 44_100, 1, "PCM_16")


async def test_a_tasks_own_error_arrives_word_for_word(workers: Workers, tmp_path: Path) -> None:
    with pytest.raises(ClipError) as caught:
        await workers.run("inspect", path=str(tmp_path / "gone.wav"))
    assert caught.value.code == "source_not_found"
    assert "gone.wav" in caught.value.message
    (tmp_path / "empty.wav").touch()
    with pytest.raises(SourceUnfinished):
        await workers.run("inspect", path=str(tmp_path / "empty.wav"))
    assert len(workers.pids) == 1, "an error is no reason for a new process"


async def test_an_odd_name_is_only_a_name(workers: Workers, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / 'new\nline "quoted" 🥁 \u2028.wav', frames=10)
    assert (await workers.run("inspect", path=str(clip)))["frames"] == 10


async def test_a_defect_is_an_answer_and_the_process_goes_on(workers: Workers, tmp_path: Path) -> None:
    for task, arguments in (("nothing", {}), ("inspect", {}), ("inspect", {"path": 5}), ("inspect", {"pith": "x"})):
        with pytest.raises(ClipError) as caught:
            await workers.run(task, **arguments)
        assert caught.value.code == "internal"
        assert not isinstance(caught.value, WorkerCrashed)
    assert (await workers.run("inspect", path=str(write_clip(tmp_path / "a.wav"))))["channels"] == 2


async def test_there_are_never_more_processes_than_allowed(workers: Workers, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.wav")
    tasks = [asyncio.create_task(workers.run("inspect", path=str(clip))) for _ in range(12)]
    most = 0
    while not all(task.done() for task in tasks):
        most = max(most, len(workers.pids))
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert most == 2


async def test_the_more_urgent_task_goes_first(tmp_path: Path) -> None:
    workers = Workers(1)
    clip = write_clip(tmp_path / "a.wav")
    order = []

    async def one(name: str, priority: int) -> None:
        await workers.run("inspect", path=str(clip), priority=priority)
        order.append(name)

    tasks = [asyncio.create_task(one("first", 20))]
    await asyncio.sleep(0)
    for name, priority in [("folder", 20), ("drop", 10), ("person", 0), ("person too", 0)]:
        tasks.append(asyncio.create_task(one(name, priority)))
    await asyncio.gather(*tasks)
    assert order == ["first", "person", "person too", "drop", "folder"]
    await workers.close()


# ---- a process that falls ---------------------------------------------------------------------------------------------


async def test_a_process_that_falls_in_the_middle_of_its_work_is_told_as_such(
    workers: Workers, long_clip: Path, tmp_path: Path
) -> None:
    working = long_work(workers, long_clip, tmp_path / "out.wav")
    os.kill(await at_work(workers, tmp_path / "out.wav"), signal.SIGKILL)
    with pytest.raises(WorkerCrashed, match="SIGKILL") as caught:
        await working
    assert caught.value.code == "internal"
    assert caught.value.hint
    clip = write_clip(tmp_path / "a.wav")
    assert (await workers.run("inspect", path=str(clip)))["frames"] == 4_801


async def test_a_process_that_fell_while_nobody_needed_it_is_replaced(workers: Workers, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.wav")
    await workers.run("inspect", path=str(clip))
    (pid,) = workers.pids
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not workers.pids or not is_running(workers.pids[0]) or workers.pids != [pid], "its end")
    assert (await workers.run("inspect", path=str(clip)))["frames"] == 4_801
    assert pid not in workers.pids


async def test_one_that_falls_takes_no_other_along(workers: Workers, long_clip: Path, tmp_path: Path) -> None:
    working = long_work(workers, long_clip, tmp_path / "out.wav")
    pid = await at_work(workers, tmp_path / "out.wav")
    clip = write_clip(tmp_path / "a.wav")
    other = asyncio.create_task(workers.run("meter", path=str(clip)))
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerCrashed):
        await working
    assert (await other)["rms_dbfs"] < 0


# ---- a process that is not wanted any more ----------------------------------------------------------------------------


async def test_cancelling_ends_the_process(workers: Workers, long_clip: Path, tmp_path: Path) -> None:
    working = long_work(workers, long_clip, tmp_path / "out.wav")
    pid = await at_work(workers, tmp_path / "out.wav")
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert not is_running(pid)
    assert workers.pids == []


async def test_a_task_that_takes_too_long_is_ended_and_told_as_such(
    workers: Workers, long_clip: Path, tmp_path: Path
) -> None:
    working = long_work(workers, long_clip, tmp_path / "out.wav", timeout_seconds=1.0)
    with pytest.raises(ClipError, match="did not finish") as caught:
        await working
    assert caught.value.code == "internal"
    assert workers.pids == []
    clip = write_clip(tmp_path / "a.wav")
    assert (await workers.run("inspect", path=str(clip)))["frames"] == 4_801


async def test_cancelling_one_that_waits_for_its_turn_starts_nothing(long_clip: Path, tmp_path: Path) -> None:
    workers = Workers(1)
    working = long_work(workers, long_clip, tmp_path / "one.wav")
    pid = await at_work(workers, tmp_path / "one.wav")
    waiting = long_work(workers, long_clip, tmp_path / "two.wav")
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert workers.pids == [pid]
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert not list(tmp_path.glob("two*"))
    await workers.close()


async def test_cancelling_at_any_moment_loses_no_process_and_no_place(tmp_path: Path) -> None:
    workers = Workers(2)
    clip = write_clip(tmp_path / "a.wav")
    for steps in range(40):
        task = asyncio.create_task(workers.run("inspect", path=str(clip)))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    both = await asyncio.wait_for(asyncio.gather(*(workers.run("inspect", path=str(clip)) for _ in range(2))), 30)
    assert [facts["frames"] for facts in both] == [4_801, 4_801]
    pids = workers.pids
    assert 1 <= len(pids) <= 2
    await workers.close()
    assert not any(is_running(pid) for pid in pids)
    gc.collect()
    assert not children(), "a process was left behind"


def children() -> list[int]:
    """Audio processes of this test run that still live, however they came to be."""
    import psutil

    return [
        child.pid
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE and "bridge.audio" in child.cmdline()
    ]


async def test_processes_without_work_leave_by_themselves(tmp_path: Path) -> None:
    workers = Workers(2, idle_seconds=0.1)
    clip = write_clip(tmp_path / "a.wav")
    await asyncio.gather(*(workers.run("inspect", path=str(clip)) for _ in range(2)))
    pids = workers.pids
    assert pids
    await until(lambda: not workers.pids and not any(is_running(pid) for pid in pids), "the idle processes to leave")
    assert (await workers.run("inspect", path=str(clip)))["frames"] == 4_801
    await workers.close()


async def test_closing_ends_every_process(long_clip: Path, tmp_path: Path) -> None:
    workers = Workers(2)
    working = long_work(workers, long_clip, tmp_path / "out.wav")
    pid = await at_work(workers, tmp_path / "out.wav")
    await workers.close()
    assert not is_running(pid)
    with pytest.raises(WorkerCrashed):
        await working


def test_an_audio_process_does_not_outlive_its_daemon(long_clip: Path, tmp_path: Path) -> None:
    """Else it would still write a take while the next daemon makes the same one."""
    program = (
        "import asyncio, sys\n"
        "from bridge.worker import Workers\n"
        "async def main():\n"
        "    workers = Workers(1)\n"
        "    words = dict(prompt='warm tape, big hall', negative_prompt='', strength=1.0, seed=1)\n"
        "    task = asyncio.create_task(workers.run('dsp', source_path=sys.argv[1], target_path=sys.argv[2], **words))\n"
        "    while not workers.pids: await asyncio.sleep(0)\n"
        "    print(workers.pids[0], flush=True)\n"
        "    await task\n"
        "asyncio.run(main())\n"
    )
    target = tmp_path / "out.wav"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(long_clip), str(target)], stdout=subprocess.PIPE, cwd=REPOSITORY
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())

    async def begun() -> None:
        await until(lambda: any(tmp_path.glob("out*")), "the audio process to begin")

    async def gone() -> None:
        await until(lambda: not is_running(pid) or _is_zombie(pid), "the audio process to leave")

    asyncio.run(begun())
    process.kill()
    process.communicate()
    size = max(path.stat().st_size for path in tmp_path.glob("out*"))
    asyncio.run(gone())
    whole = LONG_SECONDS * 48_000 * 2 * 4
    assert size < whole, "the work was done before the daemon was killed: the clip is too short for this test"
    assert max(path.stat().st_size for path in tmp_path.glob("out*")) < whole, "it worked on to its end"


def _is_zombie(pid: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


# ---- what a process may see and say -----------------------------------------------------------------------------------


def test_whatever_a_library_prints_is_not_among_the_answers(tmp_path: Path) -> None:
    """The child's side, with a task that prints in every way there is."""
    chatter = tmp_path / "chatter.py"
    chatter.write_text(
        "import dataclasses, os, subprocess, sys\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Said:\n    ok: bool\n"
        "def talk() -> Said:\n"
        "    print('from python'); print('to stderr', file=sys.stderr); os.write(1, b'from C\\n'); sys.stdout.flush()\n"
        "    subprocess.run([sys.executable, '-c', 'print(1)'])\n"
        "    return Said(True)\n"
        "if __name__ == '__main__':\n"
        "    from bridge.audio import __main__ as child\n"
        "    child.TASKS['talk'] = 'chatter:talk'\n"
        "    child.main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(chatter)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(tmp_path)])},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    for _ in range(2):
        process.stdin.write(b'{"task": "talk", "args": {}}\n')
        process.stdin.flush()
        assert process.stdout.readline() == b'{"ok": {"ok": true}}\n'
    said, chattered = process.communicate()
    assert said == b""
    assert b"from C" in chattered
    assert process.returncode == 0


@linux
async def test_no_key_of_a_service_reaches_an_audio_process(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("STABILITY_API_KEY", "FAL_KEY", "WAVESPEED_API_KEY", "EMPIRIOLABS_API_KEY", "CLIPBRIDGE_KEY_FAL")
    for name in names:
        monkeypatch.setenv(name, "a secret of the person")
    await workers.run("inspect", path=str(write_clip(tmp_path / "a.wav")))
    (pid,) = workers.pids
    seen = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"a secret" not in seen
    assert b"PATH=" in seen
