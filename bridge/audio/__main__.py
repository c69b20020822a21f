"""The child process's side of `bridge/worker.py`: tasks in by lines, answers out by lines; it leaves as soon as stdin closes.

Each task is a function of this room, named in `TASKS`; results are frozen dataclasses and travel as JSON.
"""

from __future__ import annotations

import dataclasses
import errno
import importlib
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

from bridge.errors import ClipError, SourceUnfinished, internal

TASKS: Final[dict[str, str]] = {
    "inspect": "bridge.audio.source:inspect",
    "cut": "bridge.audio.cut:cut",
    "copy": "bridge.audio.cut:copy_region",
    "meter": "bridge.audio.loudness:measure",
    "conform": "bridge.audio.conform:conform",
    "dsp": "bridge.audio.dsp:transform",
}
DISK_IS_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


def main() -> None:
    """Answers tasks, one at a time, until stdin closes; then the process ends, also in the middle of a task."""
    # an interrupt at the terminal goes to the whole group; only the daemon decides when its workers end
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # whatever a library prints must not end up among the answers
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), name="stdin", daemon=True).start()
    while True:
        asked = json.loads(lines.get())
        try:
            answer = {"ok": dataclasses.asdict(_task(asked["task"])(**asked["args"]))}
        except ClipError as error:
            answer = {"error": {**error.to_dict(), "unfinished": isinstance(error, SourceUnfinished)}}
        except MemoryError:
            answer = {"error": internal("There was not enough memory for this clip.").to_dict()}
        except OSError as error:
            answer = {"error": _of_the_disk(error).to_dict()}
        except Exception as error:
            # the child answers for every task, else one defect would look like a crash of the decoder
            answer = {
                "error": internal(
                    f'The audio task "{asked["task"]}" failed: {type(error).__name__}: {error}.'
                ).to_dict()
            }
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def _listen(lines: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        lines.put(line)
    # the daemon lets go, or was killed: then the next one may make the same take, and two must not write one file
    os._exit(0)


def _task(name: str) -> Callable[..., Any]:
    module, _, function = TASKS[name].partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def _of_the_disk(error: OSError) -> ClipError:
    if error.errno in DISK_IS_FULL:
        return ClipError(
            "disk_full",
            f"The disk is full: {error.filename or 'a working file'} could not be written.",
            hint="Free some space, then retry the job.",
        )
    return internal(f"A file could not be used: {error.strerror or error} ({error.filename}).")


if __name__ == "__main__":
    main()
