"""Serves a page at an address of this machine, and nowhere else.

Gradio's own `launch` is not used, since it can make a tunnel to a public address.
"""

import socket

import fastapi
import gradio
import uvicorn

from hrnet_tf.serving.page_guard import Guard

# Seconds for what is being answered when the page ends.
_GRACE = 3


def listen(host: str, port: int) -> socket.socket:
    """Opens the address; raises `OSError` if it cannot be listened at."""
    family, *_, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen()
    except OSError:
        opened.close()
        raise
    return opened


def make_server(
    page: gradio.Blocks,
    host: str,
    port: int,
    max_upload_mb: int,
    allowed_hosts: list[str],
) -> uvicorn.Server:
    """Makes the server of a page; its `run(sockets=[listen(...)])` serves it."""
    page.vibe_mode = False
    app = gradio.mount_gradio_app(
        fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        page,
        path="/",
        server_name=host,
        server_port=port,
        root_path="",
        max_file_size=f"{max_upload_mb}mb",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        # Fonts of the machine: nothing is fetched from elsewhere.
        theme=gradio.themes.Default(font="system-ui", font_mono="monospace"),
    )
    guard = Guard(app, host, allowed_hosts, max_upload_mb * 2**20)
    config = uvicorn.Config(
        guard,
        # Errors of requests would be tracebacks; those of events are told by Gradio.
        log_level="critical",
        # Uvicorn's own settings close the files and streams of all other logs.
        log_config=None,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE,
    )
    return uvicorn.Server(config)
