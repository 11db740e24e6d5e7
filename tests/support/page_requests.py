"""Serves a page in a thread, and talks to it as no browser does."""

import asyncio
import concurrent.futures
import contextlib
import json
import threading
import time
import urllib.request

_ANSWERS = {f"event: {kind}" for kind in ("complete", "error", "generating")}


@contextlib.contextmanager
def serving(page):
    """Serves a page as the command does; yields its port."""
    from hrnet_tf.serving import page_server

    with page_server.listen("127.0.0.1", 0) as opened:
        port = opened.getsockname()[1]
        server = page_server.make_server(page, "127.0.0.1", port, 1, [])
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield port
        server.should_exit = True
        thread.join(30)


def call(port, event, *data):
    """What the page answers an event with that no browser has sent."""
    url = f"http://127.0.0.1:{port}/gradio_api/call/{event}"
    body = json.dumps({"data": data}).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
        number = json.load(answer)["event_id"]
    told = ""
    with urllib.request.urlopen(f"{url}/{number}", timeout=30) as answer:
        for line in answer:
            told += line.decode()
            # A stream of pictures stays open after an answer, for more of them.
            if line.startswith(b"data:") and _ANSWERS.intersection(told.splitlines()):
                break
    return told


def upload(port, path):
    """Uploads a file, as a browser does; returns where the page keeps it."""
    boundary = "xxxx"
    body = (
        f"--{boundary}\r\nContent-Disposition: form-data; name=files; "
        f"filename={path.name}\r\n\r\n"
    ).encode() + path.read_bytes()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/gradio_api/upload",
        body + f"\r\n--{boundary}--\r\n".encode(),
        {"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    with urllib.request.urlopen(request) as answer:
        (kept,) = json.load(answer)
    return {"path": kept, "meta": {"_type": "gradio.FileData"}}


def run_apart(coroutine):
    """Runs a coroutine in a thread: a browser's loop may be at work in this one."""
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
