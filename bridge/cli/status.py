"""Exit statuses: what a shell script learns of how it went (contract, section 9).

Only the numbers and which job or error means which; nobody else in the program leaves with a number of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
REFUSED: Final = 4
UNCERTAIN: Final = 5
INTERRUPTED: Final = 130  # Ctrl-C, as shells say it: 128 + SIGINT

IN_WORDS: Final = (
    "Exit status: 0 done, 1 a job failed, 2 wrong words or settings, 3 the daemon cannot be reached, 4 refused for"
    " money or a key, 5 it is unknown whether it was charged; the highest of several."
)
_REFUSALS: Final = frozenset(
    {"over_budget", "missing_key", "bad_key", "no_credit", "never_upload", "no_provider", "forbidden", "unauthorized"}
)


def of_error(code: str) -> int:
    """The status of a refusal that made no job."""
    return USAGE if code == "bad_request" else _of_problem(code)


def of_job(job: Mapping[str, Any]) -> int:
    """The status of a job as it stands: one that is at work, or delivered, is no failure."""
    if job["state"] == "uncertain":
        return UNCERTAIN
    if waits_for_budget(job):
        return REFUSED
    if job["state"] in {"failed", "cancelled"}:
        return _of_problem((job["error"] or {}).get("code", ""))
    return DONE


def waits_for_budget(job: Mapping[str, Any]) -> bool:
    """Whether the job waits for money: that may be a month, and nobody waits for it at a prompt."""
    return job["state"] == "held" and (job["held"] or {}).get("reason") == "budget"


def worst(statuses: Iterable[int]) -> int:
    """The worst of several is the highest number; of none, done."""
    return max(statuses, default=DONE)


def _of_problem(code: str) -> int:
    if code == "unknown_outcome":
        return UNCERTAIN
    return REFUSED if code in _REFUSALS else FAILED
