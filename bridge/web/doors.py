"""Who is let in: only this computer's own programs that know the token, never a web page from elsewhere.

Checks the Host, the Origin and the bearer token of every request before anything else looks at it; what a request asks
for is judged behind the doors.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.errors import ClipError
from bridge.web.answers import refusal

#: may be asked without a token, so that anyone can find out whether the daemon lives
OPEN_TO_ALL: Final = frozenset({("GET", "/api/v1/health")})

# its loopback names only: a name that merely resolves to 127.0.0.1 is how a foreign page reaches in (DNS rebinding)
_AUTHORITY = r"(?:127\.0\.0\.1|localhost|\[::1\])(?::(?P<port>[0-9]{1,5}))?"
_HOST = re.compile(_AUTHORITY, re.IGNORECASE)
_ORIGIN = re.compile(f"http://{_AUTHORITY}", re.IGNORECASE)
_DEFAULT_PORT = "80"

_HEADERS: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Doors:
    """ASGI middleware: 403 `forbidden` to a foreign Host or Origin, 401 `unauthorized` without the right token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                if not any(name.lower() == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message = {**message, "headers": headers + _HEADERS}
            await send(message)

        refused = self._refusal(scope)
        if refused is None:
            await self._app(scope, receive, with_headers)
        else:
            await refusal(refused)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> ClipError | None:
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        host = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if host is None:
            return ClipError(
                "forbidden",
                f"The request was sent to the host {_shown(hosts)}, and clipbridge only answers for this computer.",
                hint="Send it to 127.0.0.1, localhost or [::1].",
            )
        for given in origins:
            origin = _ORIGIN.fullmatch(given)
            # the port too: a page of another program on this computer is as foreign as one from the internet
            if origin is None or (origin["port"] or _DEFAULT_PORT) != (host["port"] or _DEFAULT_PORT):
                return ClipError(
                    "forbidden",
                    f"The request comes from a page of {_shown(origins)}, and only clipbridge's own page may ask.",
                    hint="Ask from a program, which sends no Origin header, or from clipbridge's own page.",
                )
        if (scope["method"], scope["path"]) in OPEN_TO_ALL or self._knows_token(scope):
            return None
        return ClipError(
            "unauthorized",
            "The request carries no token that this daemon knows.",
            hint='Send the header "Authorization: Bearer <token>"; the token stands in daemon.json in the home folder.',
        )

    def _knows_token(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1:
            return False
        scheme, _, token = given[0].partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _shown(values: list[str]) -> str:
    text = ", ".join(values) or "(none)"
    return text if len(text) <= 100 else f"{text[:99]}…"
