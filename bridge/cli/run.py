"""`clipbridge run`: the daemon in the foreground.

What the daemon consists of, and in which order it starts and stops, is `bridge.daemon`'s.
"""

from __future__ import annotations

import typer

from bridge.cli import options, show
from bridge.errors import ClipError


def run(ctx: typer.Context, home: options.Home = None) -> None:
    """Run clipbridge here, until Ctrl-C."""
    with options.reporting():
        try:
            _run(options.home_of(ctx, home))
        except ClipError as error:
            # what stops the start (settings, a second daemon, an unusable home) is for the person to put right
            raise options.Refused.of(error) from None


def _run(named_home: str | None) -> None:
    import asyncio
    import contextlib
    import os

    from bridge.config import load
    from bridge.daemon import Daemon
    from bridge.home import Home

    home = Home.at(named_home)
    config = load(home.config, os.environ)
    daemon = Daemon(home.with_results(config.daemon.results_dir), config)

    async def main() -> None:
        ready = asyncio.Event()
        greeting = asyncio.create_task(_greet(daemon.facts, ready))
        try:
            await daemon.run(ready)
        finally:
            greeting.cancel()

    async def _greet(facts: dict[str, object], ready: asyncio.Event) -> None:
        await ready.wait()
        show.line(
            f"clipbridge is running at http://{facts['host']}:{facts['http_port']}; drop clips into {facts['drop_dir']}"
        )

    with contextlib.suppress(KeyboardInterrupt):  # the way out on Windows; elsewhere the daemon takes the signal itself
        asyncio.run(main())
