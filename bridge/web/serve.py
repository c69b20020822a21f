"""Listens for HTTP on the loopback interface: uvicorn in the daemon's event loop, without its signals, log and clock.

Which port, and how to stop quickly; what is answered is `bridge.web.app`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sys
from collections.abc import Iterator
from typing import Final

import uvicorn

from bridge.errors import ClipError, internal
from bridge.web import uploads
from bridge.web.app import create_app
from bridge.web.rooms import Rooms

HOST: Final = "127.0.0.1"
PORTS_TRIED: Final = 20  # after the wanted one; then any free one
KEEP_ALIVE_SECONDS: Final = 75  # longer than the pauses of a client that looks every minute
STOP_SECONDS: Final = 0.5  # what is still being sent or received then is cut off
BACKLOG: Final = 512


class Server:
    """The HTTP door of one daemon."""

    def __init__(self, rooms: Rooms, token: str) -> None:
        self._rooms = rooms
        self._token = token
        self._closing: asyncio.Event | None = None
        self._server: _Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self, port: int) -> int:
        """Listens on `port` or, where it is taken, the next free one (0: any); returns the port once it listens.

        Raises ClipError `internal` where no port can be had at all.
        """
        await asyncio.to_thread(uploads.sweep, self._rooms.uploads_dir)
        app = create_app(self._rooms, self._token)
        self._closing = app.state.closing
        listener = listen(port)
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,  # nobody stands between: what a request says of its origin is not to be believed
                server_header=False,
                date_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                backlog=BACKLOG,
            )
        )
        self._serving = asyncio.create_task(self._server.serve([listener]))
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({listening, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        if self._serving.done():
            listening.cancel()
            self._serving.result()
            raise internal("The HTTP door closed as soon as it was opened.")
        return int(listener.getsockname()[1])

    async def stop(self) -> None:
        """Ends the event streams, lets short answers finish, cuts off the rest, and stops listening."""
        if self._server is None or self._serving is None or self._closing is None:
            return
        self._closing.set()
        self._server.leave()
        _, late = await asyncio.wait({self._serving}, timeout=STOP_SECONDS)
        if late:
            self._server.cut_off()
        await self._serving


class _Uvicorn(uvicorn.Server):
    """Uvicorn's server, told when to end instead of looking ten times a second, and leaving signals to the daemon."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        self.should_exit = True
        self._leaving.set()

    def cut_off(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        await self._leaving.wait()


def listen(wanted: int) -> socket.socket:
    """A listening socket at `wanted`, else at the next free port, else at any. Raises ClipError `internal`."""
    ports = [*range(wanted, min(wanted + PORTS_TRIED, 65_535) + 1), 0] if wanted else [0]
    reason = ""
    for port in ports:
        # the protocol is named: without it asyncio leaves Nagle's algorithm on, and every answer comes 40 ms late
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            if sys.platform == "win32":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # free again at once after a stop
            listener.bind((HOST, port))
            listener.listen(BACKLOG)  # only now it is certain that nobody else has it
            listener.setblocking(False)
            return listener
        except OSError as error:
            listener.close()
            reason = error.strerror or str(error)
            if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
                break
    raise ClipError(
        "internal",
        f"No port of {HOST} could be opened for HTTP, beginning at {wanted}: {reason}.",
        hint="Set another http_port under [daemon] in config.toml; a firewall or another program may be in the way.",
    )
