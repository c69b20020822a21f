"""The command line's side of the daemon's HTTP: finds the daemon, asks it, and listens to its events.

Speaks with our own daemon on this computer only, through the standard library: a command is to be at its first request
in a quarter of a second, and a larger client takes a third of that to import. What is asked is the commands' business.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import socket
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bridge import __version__
from bridge.cli.options import Unreachable
from bridge.errors import ERROR_CODES, ClipError
from bridge.home import find_daemon

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = (
    120.0  # a request is answered when its source was looked at, and a big MP3 on a slow disk takes long
)
SILENCE_SECONDS: Final = 45.0  # the daemon says something every fifteen
AGAIN_SECONDS: Final = 1.0
HOW_TO_START: Final = "Start it with `clipbridge run` in another window."


def find(home: str | None) -> Client | None:
    """A client of the daemon that serves this home, or None where none answers."""
    facts = find_daemon(home)
    if facts is None:
        return None
    try:
        socket.create_connection((facts["host"], facts["http_port"]), CONNECT_SECONDS).close()
    except (OSError, KeyError, TypeError):
        # a daemon that was killed leaves its file behind, and another program may have its process id by now
        return None
    return Client(home, facts)


def need(home: str | None, what: str) -> Client:
    """Like `find`; raises Unreachable with `what` cannot be done where none answers."""
    client = find(home)
    if client is None:
        raise Unreachable(f"No clipbridge is running, and {what} needs it.", hint=HOW_TO_START)
    return client


@dataclass(frozen=True)
class Client:
    """One daemon, as it describes itself in `daemon.json`."""

    home: str | None
    facts: Mapping[str, Any]

    def submit(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Sends a request and returns its job. Raises the daemon's own ClipError."""
        return self._object("POST", "/api/v1/jobs", given)

    def job(self, job_id: str) -> dict[str, Any]:
        return self._object("GET", f"/api/v1/jobs/{urllib.parse.quote(job_id, safe='')}")

    def jobs(self, *, states: list[str], batch: str | None, limit: int) -> dict[str, Any]:
        """One page, newest first: `{"jobs": [...], "next": id or None}`."""
        wanted: list[tuple[str, str]] = [("limit", str(limit)), *(("state", state) for state in states)]
        if batch is not None:
            wanted.append(("batch", batch))
        return self._object("GET", f"/api/v1/jobs?{urllib.parse.urlencode(wanted)}")

    def act(self, job_id: str, verb: str, **how: bool) -> dict[str, Any]:
        """Cancels, retries or forgets a job and returns it."""
        return self._object("POST", f"/api/v1/jobs/{urllib.parse.quote(job_id, safe='')}/{verb}", how)

    def providers(self) -> dict[str, Any]:
        return self._object("GET", "/api/v1/providers")

    @contextlib.contextmanager
    def events(self, after: str | None) -> Iterator[Iterator[tuple[str, dict[str, Any]]]]:
        """The stream of `(event id, job)`; when this is entered the daemon listens to us. Raises ClipError, OSError."""
        headers = {"Last-Event-ID": after} if after else {}
        with self._answer("GET", "/api/v1/events", None, headers, SILENCE_SECONDS) as response:
            response.readline()
            yield _frames(response)

    def _object(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        answer = self._ask(method, path, body)
        if not isinstance(answer, dict):
            raise _unfit(path)
        return answer

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        try:
            with self._answer(method, path, body, {}, ANSWER_SECONDS) as response:
                return json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(
                f"The daemon (process {self.facts['pid']}) does not answer: {str(error) or type(error).__name__}.",
                hint=HOW_TO_START,
            ) from None
        except ValueError:
            raise _unfit(path) from None

    @contextlib.contextmanager
    def _answer(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str], timeout_seconds: float
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self.facts["host"], self.facts["http_port"], timeout=timeout_seconds)
        try:
            connection.request(
                method,
                path,
                # escaped to ASCII: a file name may hold bytes that are no valid text
                None if body is None else json.dumps(body, allow_nan=False).encode("ascii"),
                {
                    "Authorization": f"Bearer {self.facts['token']}",
                    "Content-Type": "application/json",
                    "User-Agent": f"clipbridge-cli/{__version__}",
                    "X-Clipbridge-Trigger": "cli",
                    **headers,
                },
            )
            response = connection.getresponse()
            if response.status >= 400:
                raise _error_in(response, path)
            yield response
        finally:
            connection.close()


class Listener:
    """Listens to a daemon's events in a thread, and comes back after a break where it broke off.

    `next` gives jobs as they change, and None after a second in which none did.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.connected = threading.Event()
        self._news: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="events", daemon=True)

    def start(self) -> None:
        """Returns when the daemon is heard, or after a few seconds all the same: the jobs are asked for then."""
        self._thread.start()
        self.connected.wait(CONNECT_SECONDS)

    def next(self) -> dict[str, Any] | None:
        try:
            return self._news.get(timeout=AGAIN_SECONDS)
        except queue.Empty:
            return None

    def close(self) -> None:
        self._over.set()

    def _listen(self) -> None:
        last_seen: str | None = None
        while not self._over.is_set():
            try:
                with self.client.events(last_seen) as events:
                    self.connected.set()
                    for event_id, job in events:
                        self._news.put(job)
                        last_seen = event_id
                        if self._over.is_set():
                            return
            except (OSError, http.client.HTTPException, ValueError, ClipError):
                # whoever waits sees `connected`, and says so if it stays away
                pass
            self.connected.clear()
            self._over.wait(AGAIN_SECONDS)
            # a daemon that was started again has another port and another token
            self.client = find(self.client.home) or self.client


def _frames(response: http.client.HTTPResponse) -> Iterator[tuple[str, dict[str, Any]]]:
    """The `job` events of a stream of server-sent events."""
    event_id, kind, data = "", "", ""
    while line := response.readline():
        text = line.decode("utf-8").rstrip("\r\n")
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            event_id = value
        elif name == "event":
            kind = value
        elif name == "data":
            data += value
        elif not text:
            if kind == "job" and data:
                yield event_id, json.loads(data)
            kind, data = "", ""


def _error_in(response: http.client.HTTPResponse, path: str) -> ClipError:
    try:
        error = json.loads(response.read())["error"]
        if error["code"] in ERROR_CODES:
            return ClipError(error["code"], error["message"], hint=error["hint"], charged=error["charged"])
    except (ValueError, KeyError, TypeError):
        pass  # not in the contract's shape: said below
    return _unfit(path, response.status)


def _unfit(path: str, http_status: int | None = None) -> ClipError:
    said = "" if http_status is None else f" with status {http_status}"
    return Unreachable(
        f"Something answered {path}{said}, but not as clipbridge would.",
        hint="Stop the daemon and start it again; it may be of another version than this command.",
    )
