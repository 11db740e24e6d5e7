"""Who may talk to a page: its own tab, under one of its own names.

A web site may make a browser send requests to a page on the same machine, and with DNS
rebinding even read the answers: the browser takes the page for a part of the site. Such
requests say so, in their headers `Host`, `Origin` or `Sec-Fetch-Site`. They are refused
before the page's own server sees them, whatever the route and the method, and no answer
allows other sites to read it (CORS).
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# The names of this machine for itself.
_OWN = ("127.0.0.1", "localhost", "::1")
# Addresses to listen at that are no names to ask for.
_ANY = ("0.0.0.0", "::", "")
# A request around an uploaded file: separators, names.
_OVERHEAD = 2**20  # bytes


class Guard:
    """An ASGI application in front of another one."""

    def __init__(
        self, app: App, host: str, allowed_hosts: Iterable[str], max_upload: int
    ):
        """Guards `app`, which listens at `host`.

        `allowed_hosts` are more names that it may be asked for, as behind a proxy. No
        request may be longer than a file of `max_upload` bytes needs.
        """
        self._app = app
        self._allowed = {name.lower() for name in allowed_hosts}
        listens_at = {*_OWN} if host in _ANY else {*_OWN, host.lower()}
        self._names = self._allowed | listens_at
        self._max_length = max_upload + _OVERHEAD

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or refuses it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            # What is checked need not be checked by other rules.
            headers = [pair for pair in scope["headers"] if pair[0] != b"origin"]
            passed_on = {**scope, "headers": headers}
            await self._app(passed_on, receive, _without_permissions(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})
        else:
            await _answer(send, *refusal)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """The status and the sentence for a request that is refused."""
        headers = _Headers(scope["headers"])
        hosts = headers.all("host")
        if len(hosts) != 1:
            return 400, "A request must have one Host header."
        asked_for = [*hosts, *headers.all("x-forwarded-host")]
        arrived_at = (scope.get("server") or ("", 0))[0].lower()
        names = (self._names | {arrived_at}) - {""}
        for host in asked_for:
            name = "" if set(host) & set("@/?#\\") else _name(f"//{host}")
            if name not in names:
                return 403, (
                    f"This page is not known as {name or host!r}. If it should be, "
                    "start it with --allowed_host."
                )
        if not all(self._is_own(origin, hosts[0]) for origin in headers.all("origin")):
            return 403, "Other sites may not use this page."
        site = headers.first("sec-fetch-site")
        is_visit = headers.first("sec-fetch-mode") == "navigate"
        if site in ("cross-site", "same-site") and not is_visit:
            return 403, "Other sites may not use this page."
        return self._length_refusal(scope, headers)

    def _is_own(self, origin: str, host: str) -> bool:
        """Whether a request comes from the page itself, at `host` or behind a proxy."""
        parts = origin.lower().partition("://")
        same = parts[0] in ("http", "https") and parts[2] == host.lower()
        return same or _name(origin) in self._allowed

    def _length_refusal(
        self, scope: Scope, headers: "_Headers"
    ) -> tuple[int, str] | None:
        length = headers.first("content-length")
        if length and length.isdecimal() and int(length) > self._max_length:
            return 413, "This is longer than --max_upload_mb allows."
        if headers.all("transfer-encoding") and scope["type"] == "http":
            return 411, "A request must say how long it is (Content-Length)."
        return None


class _Headers:
    """The headers of a request; their names have small letters."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]):
        self._pairs = [(key.lower(), value) for key, value in pairs]

    def all(self, name: str) -> list[str]:
        wanted = name.encode()
        return [value.decode("latin-1") for key, value in self._pairs if key == wanted]

    def first(self, name: str) -> str:
        return next(iter(self.all(name)), "")


def _name(url: str) -> str:
    """The name of the machine in a URL, in small letters; empty without one."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _without_permissions(send: Send) -> Send:
    """Sends answers without headers that let other sites read them."""

    async def send_on(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [
                pair
                for pair in message.get("headers", ())
                if not pair[0].lower().startswith(b"access-control-")
            ]
            message = {**message, "headers": kept}
        await send(message)

    return send_on


async def _answer(send: Send, status: int, sentence: str) -> None:
    body = f"{sentence}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
