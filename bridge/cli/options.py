"""What all commands share: the options `--home` and `--json`, and how an error ends a command.

What the exit statuses mean is `status.py`'s, how a sentence looks `show.py`'s.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Annotated, Final

import typer

from bridge.cli import show, status
from bridge.errors import ClipError

ENV_DEBUG: Final = "CLIPBRIDGE_DEBUG"

Home = Annotated[
    str | None,
    typer.Option("--home", metavar="DIR", help="Use this home folder instead of ~/.clipbridge."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


class Unreachable(ClipError):
    """There is no daemon to talk to, or it does not answer."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__("internal", message, hint=hint)


class Refused(ClipError):
    """A command cannot begin: its words or the settings are wrong, or the home is taken."""

    @classmethod
    def of(cls, error: ClipError) -> Refused:
        return cls(error.code, error.message, hint=error.hint, charged=error.charged)


def home_of(ctx: typer.Context, named: str | None) -> str | None:
    """The home a person named, after the command or before it."""
    return named if named is not None else ctx.obj


def status_of(error: ClipError) -> int:
    """The exit status of an error that ends a command."""
    if isinstance(error, Unreachable):
        return status.UNREACHABLE
    if isinstance(error, Refused):
        return status.USAGE
    return status.of_error(error.code)


@contextlib.contextmanager
def reporting(as_json: bool = False) -> Iterator[None]:
    """Ends the command with a sentence and a status where a ClipError comes up; `as_json`: with the error as JSON."""
    try:
        yield
    except ClipError as error:
        if debugging():
            raise
        if as_json:
            show.document({"error": error.to_dict()})
        else:
            show.problem(error)
        raise typer.Exit(status_of(error)) from None


def debugging() -> bool:
    """Whether a person asked for tracebacks."""
    return os.environ.get(ENV_DEBUG, "") not in {"", "0"}
