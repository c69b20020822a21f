"""When something is tried again: never what may be paid twice, always what passes by itself, and not for ever."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest

from bridge.errors import ClipError, ErrorCode, Passing, SourceUnfinished, internal
from bridge.pipeline.retry import LONGEST_WAIT_SECONDS, Again, GiveUp, Hold, Step, decide
from bridge.worker import WorkerCrashed

STEPS: tuple[Step, ...] = get_args(Step)
CRASH = WorkerCrashed("cut", "signal SIGSEGV")


def passing(after_seconds: float | None = None) -> Passing:
    return Passing("provider_error", "No answer.", hint="Wait.", reason="network", after_seconds=after_seconds)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("free", [True, False])
def test_what_passes_by_itself_is_waited_for_longer_each_time(step: Step, free: bool) -> None:
    waits = [decide(step, passing(), attempt, free=free) for attempt in range(1, 40)]
    seconds = [wait.seconds for wait in waits if isinstance(wait, Hold)]
    assert len(seconds) == len(waits)
    assert all(one <= two for one, two in itertools.pairwise(seconds))
    assert 0 < seconds[0] <= 5
    assert seconds[-1] == LONGEST_WAIT_SECONDS == 300
    assert all(isinstance(wait, Hold) and wait.reason == "network" for wait in waits)


def test_a_service_that_asks_for_more_time_gets_it() -> None:
    assert decide("ask", passing(900), 1, free=False) == Hold("network", 900)
    assert decide("ask", passing(0.1), 1, free=False) == decide("ask", passing(), 1, free=False)


def test_a_crash_of_audio_work_is_tried_once_more_and_no_more() -> None:
    assert decide("audio", CRASH, 1, free=True) == Again()
    assert decide("audio", CRASH, 2, free=True) == GiveUp(CRASH)
    assert decide("ask", CRASH, 1, free=True) == Again()


def test_a_paid_question_is_never_put_again_by_itself() -> None:
    assert decide("ask", CRASH, 1, free=False) == GiveUp(CRASH)


@pytest.mark.parametrize("code", get_args(ErrorCode))
@pytest.mark.parametrize("step", STEPS)
def test_every_other_error_is_final(step: Step, code: ErrorCode) -> None:
    for charged in ("no", "yes", "unknown"):
        error = ClipError(code, "No.", hint="Stop.", charged=charged)
        for attempt in (1, 2, 3):
            for free in (True, False):
                assert decide(step, error, attempt, free=free) == GiveUp(error)


def test_an_unfinished_source_and_a_defect_are_final_here() -> None:
    for error in (SourceUnfinished("half"), internal("a defect")):
        assert decide("audio", error, 1, free=True) == GiveUp(error)
