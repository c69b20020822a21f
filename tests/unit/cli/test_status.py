"""Exit statuses, so that a script can tell a refusal from a failure and an unknown outcome from both."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.cli import options, status
from bridge.errors import ERROR_CODES, ClipError


def job(state: str, *, error: str | None = None, held: str | None = None) -> dict[str, Any]:
    return {
        "state": state,
        "error": None if error is None else {"code": error},
        "held": None if held is None else {"reason": held, "until": "2026-01-01T00:00:00.000Z"},
    }


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (job("delivered"), 0),
        (job("delivered", error="provider_error"), 0),  # one of several takes failed; the job did not
        (job("rendering"), 0),
        (job("failed", error="bad_result"), 1),
        (job("failed", error="source_not_found"), 1),
        (job("cancelled"), 1),
        (job("cancelled", error="cancelled"), 1),
        (job("failed", error="bad_key"), 4),
        (job("failed", error="no_credit"), 4),
        (job("uncertain", error="unknown_outcome"), 5),
        (job("held", held="budget"), 4),
        (job("held", held="network"), 0),
    ],
)
def test_a_job_has_the_status_of_how_it_ended(ended: dict[str, Any], expected: int) -> None:
    assert status.of_job(ended) == expected


def test_a_refusal_for_money_or_keys_is_told_from_wrong_words() -> None:
    refused = {code for code in ERROR_CODES if status.of_error(code) == status.REFUSED}
    assert {"over_budget", "missing_key", "bad_key", "no_credit", "never_upload", "no_provider"} <= refused
    assert [code for code in ERROR_CODES if status.of_error(code) == status.USAGE] == ["bad_request"]
    assert status.of_error("source_unreadable") == status.FAILED


def test_of_several_the_worst_counts() -> None:
    assert status.worst([]) == 0
    assert status.worst([0, 1, 0]) == 1
    assert status.worst([1, 5, 4]) == 5


def test_an_unreachable_daemon_has_a_status_of_its_own() -> None:
    assert options.status_of(options.Unreachable("Nobody there.", hint="Start it.")) == 3
    assert options.status_of(options.Refused.of(ClipError("internal", "Held.", hint="Stop it."))) == 2
