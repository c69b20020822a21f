"""A job: the life of one request, its paid calls and its takes (contract, section 2).

Only data and what follows from it; who moves a job from state to state is the pipeline's runner.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from pydantic import ConfigDict, Field

from bridge.errors import Charged, ClipError, ErrorCode
from bridge.request import Frozen, Request

State = Literal[
    "queued", "preparing", "submitting", "rendering", "fetching", "conforming", "delivered",
    "held", "failed", "cancelled", "uncertain",
]  # fmt: skip
CallState = Literal["intent", "sent", "running", "done", "failed", "cancelled", "uncertain"]
HeldReason = Literal["budget", "network", "provider_down", "rate_limit", "source_unfinished"]
Trigger = Literal["folder", "osc", "midi", "mailbox", "http", "cli"]

ENDS: frozenset[State] = frozenset({"delivered", "failed", "cancelled", "uncertain"})
LIVING: tuple[State, ...] = tuple(state for state in get_args(State) if state not in ENDS)
ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: nothing to mistake when read out or typed
ID_LENGTH = (
    10  # 50 bits: a collision within a million jobs has a chance below 1 in 2,000, and the store refuses it anyway
)


class _Data(Frozen):
    # ours, not a person's: read back from the store, where 1.0 may have become 1
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class Problem(_Data):
    """The error object of the contract."""

    code: ErrorCode
    message: str
    hint: str
    charged: Charged = "no"

    @classmethod
    def of(cls, error: ClipError) -> Problem:
        return cls(code=error.code, message=error.message, hint=error.hint, charged=error.charged)

    def as_error(self) -> ClipError:
        return ClipError(self.code, self.message, hint=self.hint, charged=self.charged)


class Held(_Data):
    """Why a job waits, and until when it does at the latest before it is looked at again."""

    reason: HeldReason
    until: str


class Call(_Data):
    """One paid question to a provider: which take and piece it is for, and what is known of it."""

    take: int
    piece: int = 1
    provider_job_id: str | None = None
    state: CallState = "intent"
    charged_usd: float | None = None
    available_until: str | None = None
    # the bridge's own, never shown
    seed: int | None = None
    estimated_usd: float = 0.0
    handle: dict[str, Any] = Field(default_factory=dict)
    result_file: str | None = None
    notes: tuple[str, ...] = ()
    error: Problem | None = None


class Take(_Data):
    """One result on disk."""

    path: str
    take: int
    seed: int | None
    frames: int
    samplerate: int
    channels: int
    subtype: str
    lufs: float | None = None
    source_lufs: float | None = None
    true_peak_dbtp: float | None = None
    notes: tuple[str, ...] = ()
    # the bridge's own, never shown
    sha256: str = ""
    placed: bool = False


class Job(_Data):
    """A job as the bridge holds it; `public()` is what every interface shows."""

    id: str
    state: State = "queued"
    progress: float = 0.0
    message: str = "Waiting for its turn."
    created_at: str
    updated_at: str
    trigger: Trigger
    request: Request
    provider: str
    model: str | None = None
    estimated_usd: float = 0.0
    charged_usd: float | None = 0.0
    held: Held | None = None
    calls: tuple[Call, ...] = ()
    takes: tuple[Take, ...] = ()
    error: Problem | None = None
    why_not: dict[str, str] = Field(default_factory=dict)  # the providers that `auto` passed over, each with the reason
    # the bridge's own, never shown
    priority: int = 0
    given: str = ""
    origin: dict[str, Any] = Field(default_factory=dict)
    cut: dict[str, Any] | None = None

    @property
    def living(self) -> bool:
        return self.state not in ENDS

    @property
    def clip_name(self) -> str:
        """What a person would call the clip: the file's name without its ending, or the prompt's first five words."""
        if self.request.source is not None:
            name = re.split(r"[\\/]", self.request.source)[-1]
            stem, dot, _ = name.rpartition(".")
            return stem if dot and stem else name
        return " ".join(self.request.prompt.split()[:5])

    def public(self) -> dict[str, Any]:
        """The job as the contract shows it, JSON-able. A take is shown as soon as its file has its name."""
        shown = self
        if not all(take.placed for take in self.takes):
            shown = self.model_copy(update={"takes": tuple(take for take in self.takes if take.placed)})
        return shown.model_dump(mode="json", include=_SHOWN)


def charged_usd(calls: Iterable[Call]) -> float | None:
    """What the calls of a job have cost together; None while nobody knows it of one of them. Cancelled ones count nothing."""
    costs = [call.charged_usd for call in calls if call.state != "cancelled"]
    return None if None in costs else round(sum(cost for cost in costs if cost is not None), 6)


_HIDDEN_OF_CALL = {"seed", "estimated_usd", "handle", "result_file", "notes", "error"}
_HIDDEN_OF_TAKE = {"sha256", "placed"}
_HIDDEN_OF_JOB = {"priority", "given", "origin", "cut"}
_SHOWN: dict[str, Any] = {
    **{name: True for name in Job.model_fields if name not in _HIDDEN_OF_JOB},
    "calls": {"__all__": set(Call.model_fields) - _HIDDEN_OF_CALL},
    "takes": {"__all__": set(Take.model_fields) - _HIDDEN_OF_TAKE},
}


def new_id() -> str:
    """A job's name: short enough to type, no two alike."""
    return "".join(secrets.choice(ID_ALPHABET) for _ in range(ID_LENGTH))


def timestamp(at_seconds: float | None = None) -> str:
    """RFC 3339 in UTC with milliseconds; now when nothing is given."""
    moment = datetime.fromtimestamp(time.time() if at_seconds is None else at_seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_of(stamp: str) -> float:
    """The inverse of `timestamp`."""
    return datetime.fromisoformat(stamp).timestamp()
