"""The daemon: starts the parts in order and stops them in reverse.

What turns requests into takes is `bridge.engine`; here are the ways in and out, and the file by which it is found.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
from pathlib import Path
from typing import Any, Final

from bridge import __version__, logs
from bridge.config import Config
from bridge.engine import Engine
from bridge.home import Home
from bridge.job import timestamp
from bridge.pipeline import retention
from bridge.triggers.folder import FolderTrigger
from bridge.web.rooms import Rooms
from bridge.web.serve import Server

log = logging.getLogger(__name__)
TIDY_SECONDS: Final = 6 * 3_600.0


class Daemon:
    """The engine with its triggers and its HTTP door."""

    def __init__(self, home: Home, config: Config) -> None:
        self.engine = Engine(home, config)
        self.home = home
        self.config = config
        self.facts: dict[str, Any] = {}
        self._token = secrets.token_urlsafe(32)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Asks a running daemon to end."""
        self._stopping.set()

    async def run(self, ready: asyncio.Event | None = None) -> None:
        """Runs until a signal (or `stop`) ends it. Holds the home for itself; raises ClipError where that cannot be."""
        async with contextlib.AsyncExitStack() as parts:
            parts.enter_context(self.home.held())
            parts.callback(logs.stop, logs.start(self.home.log))

            await self.engine.start(resume=True)
            parts.push_async_callback(self.engine.stop)

            server = Server(self._rooms(), self._token)
            http_port = await server.start(self.config.daemon.http_port)
            parts.push_async_callback(server.stop)

            folders = FolderTrigger(self.engine)
            await folders.start()
            parts.push_async_callback(folders.stop)

            tidying = asyncio.create_task(self._tidy())
            parts.callback(tidying.cancel)

            self.facts.update(self._facts(http_port))
            self.home.announce(self.facts)
            parts.callback(self.home.withdraw)
            self._listen_for_signals(parts)
            log.info("ready", extra={"facts": {"pid": os.getpid(), "http_port": http_port}})
            if ready is not None:
                ready.set()
            await self._stopping.wait()
            log.info("stopping")

    def _rooms(self) -> Rooms:
        engine = self.engine
        return Rooms(
            home=engine.home,
            intake=engine.intake,
            events=engine.events,
            jobs=engine.jobs,
            ledger=engine.ledger,
            presets=engine.presets,
            providers=engine.providers,
            facts=lambda: self.facts,
        )

    def _facts(self, http_port: int) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "version": __version__,
            "host": "127.0.0.1",
            "osc_port": None,
            "http_port": http_port,
            "token": self._token,
            "home": str(self.home.root),
            "drop_dir": str(self.home.drop_dir),
            "results_dir": str(self.home.results_dir),
            "mailbox_dir": str(self.home.mailbox_dir),
            "started_at": timestamp(),
        }

    def _listen_for_signals(self, parts: contextlib.AsyncExitStack) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self.stop)
                parts.callback(loop.remove_signal_handler, number)
            except (NotImplementedError, RuntimeError, ValueError):
                # Windows' loop has no signal handlers, and a thread may not set them: there Ctrl-C arrives as an exception
                log.debug("no handler for a signal", extra={"facts": {"signal": number}})

    async def _tidy(self) -> None:
        """Keeps the jobs' folders and the event stream within bounds, now and every few hours."""
        while True:
            open_jobs = await self.engine.jobs.living()
            open_jobs += (await self.engine.jobs.page(states=("uncertain",), limit=10_000)).jobs
            folders = {
                self.home.jobs_dir: frozenset(job.id for job in open_jobs),
                self.home.uploads_dir: frozenset(Path(job.request.source or "").parent.name for job in open_jobs),
            }
            for folder, kept in folders.items():
                removed = await asyncio.to_thread(retention.clear, folder, kept, self.config.retention)
                if removed:
                    log.info("old folders removed", extra={"facts": {"in": folder.name, "count": len(removed)}})
            await self.engine.jobs.prune_events()
            await asyncio.sleep(TIDY_SECONDS)
