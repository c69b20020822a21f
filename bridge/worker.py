"""The processes that run all audio work, so that a bad file or a big one takes nothing else along.

A few child processes, started on need, gone after a minute without work, killed when the work they do is cancelled or takes too
long. The child's side, and which tasks there are, is `bridge/audio/__main__.py`; which tasks a job needs is the pipeline's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

from bridge.errors import ClipError, SourceUnfinished, internal
from bridge.turns import Turns

IDLE_SECONDS: Final = 60.0
LINE_LIMIT_BYTES: Final = 1 << 20
DEFAULT_TIMEOUT_SECONDS: Final = 1_800.0  # half an hour: an hour-long clip takes minutes on a slow laptop


# One thread for each process: the daemon decides how many work at once. And glibc is to keep the blocks' memory instead of
# asking the system for it anew at each block: that cost 12,780 page faults for 30 s of stereo, now about 50.
SMALL_AND_QUICK: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 20),
}


class WorkerCrashed(ClipError):
    """The child process ended in the middle of a task: the file brought the decoder down, or the system ended it."""

    def __init__(self, task: str, ended: str) -> None:
        super().__init__(
            "internal",
            f'The audio process ended in the middle of "{task}" ({ended}).',
            hint="Try once more; if it happens again with this file, export the clip anew as WAV.",
        )


class Workers:
    """At most `size` audio processes, given out by priority (lower first), then in order of asking."""

    def __init__(self, size: int, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._turns = Turns(size)
        self._idle_seconds = idle_seconds
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._reaper: asyncio.TimerHandle | None = None

    async def run(
        self, task: str, *, priority: int = 0, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS, **arguments: Any
    ) -> dict[str, Any]:
        """Runs one task of `bridge.audio` and returns its result's fields.

        Raises the task's own ClipError, WorkerCrashed, or ClipError `internal` on a time-out. Cancelling ends the process.
        """
        async with self._turns.turn(priority):
            worker = await self._take()
            try:
                async with asyncio.timeout(timeout_seconds):
                    answer = await worker.ask(task, arguments)
            except TimeoutError:
                raise internal(
                    f'The audio process did not finish "{task}" within {timeout_seconds:g} seconds.'
                ) from None
            finally:
                self._busy.discard(worker)
                if worker.usable:
                    worker.used_at = asyncio.get_running_loop().time()
                    self._idle.append(worker)
                else:
                    await worker.end()
        if "error" in answer:
            raise _error_from(answer["error"])
        result: dict[str, Any] = answer["ok"]
        return result

    async def close(self) -> None:
        """Ends all processes; work under way is lost (its job goes on at the next start)."""
        if self._reaper is not None:
            self._reaper.cancel()
        workers, self._idle, self._busy = [*self._idle, *self._busy], [], set()
        for worker in workers:
            await worker.end()

    @property
    def pids(self) -> list[int]:
        """The processes that live now."""
        return [worker.pid for worker in (*self._idle, *self._busy)]

    async def _take(self) -> _Worker:
        worker = None
        while self._idle and worker is None:
            idle = self._idle.pop()
            worker = idle if idle.lives else None  # the system may have ended one while nobody needed it
        if worker is None:
            worker = await _Worker.start()
        self._busy.add(worker)
        if self._reaper is None:
            self._reaper = asyncio.get_running_loop().call_later(self._idle_seconds, self._reap)
        return worker

    def _reap(self) -> None:
        loop = asyncio.get_running_loop()
        leaving = [worker for worker in self._idle if loop.time() - worker.used_at >= self._idle_seconds]
        self._idle = [worker for worker in self._idle if worker not in leaving]
        for worker in leaving:
            worker.let_go()
        self._reaper = None
        if self._idle or self._busy:
            longest_idle = min((worker.used_at for worker in self._idle), default=loop.time())
            self._reaper = loop.call_at(longest_idle + self._idle_seconds, self._reap)


class _Worker:
    """One child process; it does one task at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid
        self.usable = True
        self.used_at = 0.0

    @classmethod
    async def start(cls) -> _Worker:
        # the child must import the same bridge as this process, and nothing from the folder it happens to be started in (-P)
        ours = str(Path(__file__).parent.parent)
        path = os.pathsep.join([ours, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, **SMALL_AND_QUICK, "PYTHONPATH": path}
        # keys are for the daemon's eyes only
        for name in [name for name in environment if name.startswith("CLIPBRIDGE_KEY_") or name.endswith("_KEY")]:
            del environment[name]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "bridge.audio",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # decoders chatter there; errors come back as answers
            limit=LINE_LIMIT_BYTES, env=environment,
        )  # fmt: skip
        return cls(process)

    @property
    def lives(self) -> bool:
        # its answers end at once with it; that it has ended is known a moment later
        assert self._process.stdout is not None
        return self._process.returncode is None and not self._process.stdout.at_eof()

    async def ask(self, task: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.usable = (
            False  # until the answer is here: whatever interrupts this leaves the process in the middle of a task
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = b""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            # a process that is gone shows as an empty answer below
            self._process.stdin.write(json.dumps({"task": task, "args": arguments}).encode() + b"\n")
            await self._process.stdin.drain()
            line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise WorkerCrashed(task, _ending(await self._process.wait()))
        answer: dict[str, Any] = json.loads(line)
        self.usable = True
        return answer

    def let_go(self) -> None:
        """Closes the process's stdin; it leaves by itself."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def end(self) -> None:
        """Ends the process now, in the middle of whatever it does."""
        self.usable = False
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


def _ending(returncode: int) -> str:
    if returncode < 0:
        with contextlib.suppress(ValueError):
            return f"signal {signal.Signals(-returncode).name}"
    return f"exit status {returncode}"


def _error_from(fields: dict[str, Any]) -> ClipError:
    if fields.pop("unfinished", False):
        return SourceUnfinished(fields["message"])
    return ClipError(fields["code"], fields["message"], hint=fields["hint"], charged=fields["charged"])
