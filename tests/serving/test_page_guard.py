"""Other sites, and other names, are refused before the page sees their requests."""

import pytest
from page_requests import run_apart

from hrnet_tf.serving.page_guard import Guard

PORT = 7860
HOST = f"127.0.0.1:{PORT}"


async def page(scope, receive, send):
    """Allows every site everything, and says which origin it was told of."""
    if scope["type"] == "lifespan":
        return
    told = [pair for pair in scope["headers"] if pair[0] == b"origin"]
    headers = [(b"Access-Control-Allow-Origin", b"*"), (b"x-told", str(told).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"seen"})


def ask(headers, kind="http", method="GET", listens_at="127.0.0.1", allowed=()):
    """What the page behind a guard sends in answer to a request."""
    sent = []

    async def receive():
        return {"type": f"{kind}.connect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": kind,
        "method": method,
        "path": "/any",
        "server": ("10.0.0.7", PORT) if listens_at == "0.0.0.0" else (listens_at, PORT),
        "headers": [
            (name.encode(), value.encode("latin-1")) for name, value in headers
        ],
    }
    guard = Guard(page, listens_at, allowed, max_upload=1000)
    run_apart(guard(scope, receive, send))
    return sent


def status(headers, **more):
    return ask(headers, **more)[0]["status"]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "LOCALHOST:80", "[::1]:7860", f"localhost:{PORT}"],
)
def test_own_names_are_answered(host):
    assert status([("host", host)]) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", f"evil.example:{PORT}", "10.0.0.7", "localhost.evil.example", ""]
    + ["127.0.0.1@evil.example", "evil@127.0.0.1", "127.0.0.1/x", "127.1", "0.0.0.0"]
    + ["[::1", "[evil]", "localhost.", "localhost\x00", "localhost evil", "\xff"],
)
@pytest.mark.parametrize(
    "method", ["GET", "POST", "OPTIONS", "HEAD", "DELETE", "TRACE"]
)
def test_foreign_names_are_refused(host, method):
    assert status([("host", host)], method=method) == 403


def test_a_request_has_one_host():
    assert status([]) == 400
    assert status([("host", HOST), ("host", HOST)]) == 400


def test_a_proxy_needs_a_flag():
    asked = [("host", HOST), ("x-forwarded-host", "demo.example")]
    assert status(asked) == 403
    assert status(asked, allowed=["Demo.example"]) == 200
    origin = ("origin", "https://demo.example")
    assert status([("host", HOST), origin]) == 403
    assert status([("host", HOST), origin], allowed=["demo.example"]) == 200
    assert status([("host", "demo.example"), origin], allowed=["demo.example"]) == 200


def test_the_address_where_a_request_arrives_is_a_name():
    assert status([("host", f"10.0.0.7:{PORT}")], listens_at="0.0.0.0") == 200
    assert status([("host", f"10.0.0.8:{PORT}")], listens_at="0.0.0.0") == 403
    assert status([("host", f"0.0.0.0:{PORT}")], listens_at="0.0.0.0") == 403


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (f"http://{HOST}", 200),
        (f"https://{HOST}", 200),
        *(
            (origin, 403)
            for origin in (
                "http://evil.example",
                "null",
                "",
                "http://127.0.0.1",
                "http://127.0.0.1:3000",
                f"http://localhost:{PORT}",
                f"http://{HOST}.evil.example",
                f"http://evil@{HOST}",
                f"file://{HOST}",
            )
        ),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_only_the_page_itself_may_use_it(origin, expected, method):
    assert status([("host", HOST), ("origin", origin)], method=method) == expected


def test_no_answer_allows_other_sites_to_read_it():
    for headers in ([], [("origin", f"http://{HOST}")], [("origin", "http://evil")]):
        start, *_ = ask([("host", HOST), *headers])
        assert not [
            name for name, _ in start["headers"] if b"access-control" in name.lower()
        ]
    # Gradio's own rules are not asked.
    start, _ = ask([("host", HOST), ("origin", f"http://{HOST}")])
    assert (b"x-told", b"[]") in start["headers"]


@pytest.mark.parametrize(
    ("site", "mode", "expected"),
    [
        ("cross-site", "no-cors", 403),
        ("same-site", "no-cors", 403),
        ("same-origin", "cors", 200),
        ("none", "navigate", 200),
        ("cross-site", "navigate", 200),  # Somebody follows a link to the page.
    ],
)
def test_what_a_browser_says_about_the_site(site, mode, expected):
    headers = [("host", HOST), ("sec-fetch-site", site), ("sec-fetch-mode", mode)]
    assert status(headers) == expected


def test_requests_have_a_length_and_a_limit():
    length = 2**20 + 1001
    assert status([("host", HOST), ("content-length", str(length))]) == 413
    assert status([("host", HOST), ("content-length", str(length - 1))]) == 200
    assert status([("host", HOST), ("transfer-encoding", "chunked")]) == 411


def test_sockets_are_refused_too():
    (sent,) = ask([("host", "evil.example")], kind="websocket")
    assert sent["type"] == "websocket.close"
    assert ask([("host", HOST)], kind="websocket")[0]["status"] == 200
    assert ask([], kind="lifespan") == []
