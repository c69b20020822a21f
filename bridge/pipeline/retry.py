"""When something is tried again, when the job waits, and when it fails: one pure decision.

No clock, no network, no randomness in here; whoever asks does what the answer says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bridge.errors import ClipError, Passing
from bridge.job import HeldReason
from bridge.worker import WorkerCrashed

#: what was being done: audio work on this computer, asking a service (may cost), or anything that is free to repeat there
Step = Literal["audio", "ask", "look"]

AUDIO_ATTEMPTS = 2  # a crash of the decoder that comes twice is the file's doing
FIRST_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 300.0


@dataclass(frozen=True)
class Again:
    """Try the same step at once."""


@dataclass(frozen=True)
class Hold:
    """Let the job wait this long, then go on."""

    reason: HeldReason
    seconds: float


@dataclass(frozen=True)
class GiveUp:
    """The job (or the call) fails with this error."""

    error: ClipError


Decision = Again | Hold | GiveUp


def decide(step: Step, error: ClipError, attempt: int, *, free: bool) -> Decision:
    """What follows from `error` at the given attempt (1 for the first) of a step; `free`: asking twice costs nothing.

    A crash of an audio process is tried once more. What passes by itself is waited for, twice as long each time up to five
    minutes, or as long as the service says. A paid question is repeated only for a `Passing`, which by its definition was
    neither accepted nor charged. Everything else is final.
    """
    if isinstance(error, Passing):
        doubled = min(FIRST_WAIT_SECONDS * 2 ** min(attempt - 1, 20), LONGEST_WAIT_SECONDS)
        return Hold(error.reason, max(doubled, error.after_seconds or 0.0))
    if isinstance(error, WorkerCrashed) and attempt < AUDIO_ATTEMPTS and (step == "audio" or free):
        return Again()
    return GiveUp(error)
