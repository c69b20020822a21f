"""The command line: `clipbridge` and its commands, a module each.

Only puts them together. The modules load what they need when their command runs, so that each starts at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bridge import __version__
from bridge.cli import demo, jobs, options, presets, providers, run, send, show, status
from bridge.errors import ClipError, internal

app = typer.Typer(
    name="clipbridge",
    help="Turns clips into what you ask for, and hands back takes that fit the same hole.",
    epilog="New here? `clipbridge demo` shows it all in a few seconds, without an account.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _say_version(wanted: bool) -> None:
    if wanted:
        show.line(f"clipbridge {__version__}")
        raise typer.Exit


@app.callback()
def _shared(
    ctx: typer.Context,
    home: options.Home = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    ctx.obj = home


app.command()(demo.demo)
app.command()(run.run)
app.command(epilog=status.IN_WORDS)(send.send)
app.add_typer(jobs.app, name="jobs")
app.add_typer(presets.app, name="presets")
app.command()(providers.providers)


def main() -> None:
    """The command `clipbridge`. Whatever goes wrong is a sentence; a traceback only where one is asked for."""
    show.prepare_output()
    try:
        app()
    except ClipError as error:
        if options.debugging():
            raise
        show.problem(error)
        sys.exit(options.status_of(error))
    except Exception as error:
        if options.debugging():
            raise
        show.problem(internal(f"This command met a defect: {type(error).__name__}: {error}."))
        show.line(f"{options.ENV_DEBUG}=1 shows where.", error=True)
        sys.exit(status.FAILED)
