"""What can go wrong, as sentences a producer can act on.

Every refusal and failure in clipbridge is a `ClipError`: a code of the contract, a sentence that says what was tried on what
and why it failed, a hint that says what to do, and whether it cost money. This module knows nothing of HTTP, files or jobs; it
is imported by the audio worker too, so it stays free of heavy imports.

    ClipError
     ├─ SourceUnfinished   the file looks as if somebody were still writing it: wait before giving up
     └─ Passing            something that goes by without a person: no network, a service that is down, too many requests
"""

from __future__ import annotations

from typing import Final, Literal, get_args

ErrorCode = Literal[
    "bad_request",
    "source_not_found",
    "source_unreadable",
    "source_unsupported",
    "region_out_of_range",
    "no_provider",
    "missing_key",
    "bad_key",
    "no_credit",
    "over_budget",
    "never_upload",
    "moderated",
    "copyrighted",
    "too_long",
    "too_large",
    "rate_limited",
    "provider_error",
    "provider_timeout",
    "lost_at_provider",
    "unknown_outcome",
    "bad_result",
    "delivery_failed",
    "disk_full",
    "cancelled",
    "unknown_job",
    "unauthorized",
    "forbidden",
    "internal",
]
Charged = Literal["no", "yes", "unknown"]

ERROR_CODES: Final[tuple[str, ...]] = get_args(ErrorCode)


class ClipError(Exception):
    """A refusal or failure with a code of the contract.

    `message` is one sentence: what was tried, on what, why it failed. `hint` is one sentence: what to do about it. `charged`
    says whether money was taken.
    """

    def __init__(self, code: ErrorCode, message: str, *, hint: str, charged: Charged = "no") -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.message = message
        self.hint = hint
        self.charged: Charged = charged

    def to_dict(self) -> dict[str, str]:
        """The error object of the contract: `code`, `message`, `hint`, `charged`."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "charged": self.charged}


class SourceUnfinished(ClipError):
    """The source looks unfinished: its container promises more than the file holds, or it is still empty.

    It is not refused at once: the job waits (`held`, reason `source_unfinished`) until the file is whole or has not grown for
    `unfinished_seconds`; then this error is the job's.
    """

    def __init__(self, message: str) -> None:
        super().__init__(
            "source_unreadable",
            message,
            hint="Export or copy the file again; it ends before its own header says it should.",
        )


class Passing(ClipError):
    """A trouble that goes by without a person's doing; the job waits (`held`) and goes on by itself.

    `reason` is the contract's word for the wait; `after_seconds` is what the service asked for, None where it said nothing.
    Only raised where nothing was charged and asking again is safe.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        hint: str,
        reason: Literal["network", "provider_down", "rate_limit"],
        after_seconds: float | None = None,
    ) -> None:
        super().__init__(code, message, hint=hint)
        self.reason: Literal["network", "provider_down", "rate_limit"] = reason
        self.after_seconds = after_seconds


def internal(message: str) -> ClipError:
    """An error that is ours and not the person's: a defect or a machine in trouble."""
    return ClipError(
        "internal",
        message,
        hint="Try once more; if it stays, report it with the last lines of logs/clipbridge.log in clipbridge's home folder.",
    )
