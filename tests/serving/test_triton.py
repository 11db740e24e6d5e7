"""A Triton server on the model repository of docs/triton, asked from many threads."""

import collections
import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

REPOSITORY = Path(__file__).parents[2] / "docs/triton"
SERVER = Path(sys.prefix, "triton/bin/tritonserver")
NUM_REQUESTS = 500
HEADER_LENGTH = "Inference-Header-Content-Length"
OUTPUTS = ("keypoints", "scores")

Answer = tuple[int, dict[str, np.ndarray]]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not SERVER.is_file(), reason="there is no Triton server: make env-triton"
    ),
]


@pytest.fixture(scope="module")
def port(saved_model_dir, tmp_path_factory) -> Iterator[int]:
    """The HTTP port of a running server."""
    folder = tmp_path_factory.mktemp("triton")
    repository = shutil.copytree(REPOSITORY, folder / "repository")
    shutil.copytree(saved_model_dir, repository / "pose/1/model.savedmodel")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(SERVER),
        f"--model-repository={repository}",
        "--http-address=127.0.0.1",
        f"--http-port={port}",
        "--allow-grpc=false",
        "--allow-metrics=false",
    ]
    log = folder / "log"
    with log.open("wb") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        wait_until_ready(server, port, log)
        yield port
        assert server.poll() is None, log.read_text()[-2000:]
    finally:
        server.terminate()
        server.wait(60)


def wait_until_ready(server: subprocess.Popen, port: int, log: Path) -> None:
    for _ in range(180):
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            if is_ready(port):
                return
        except ConnectionRefusedError:
            pass  # Not yet.
        time.sleep(1)
    pytest.fail(f"The model did not become ready:\n{log.read_text()[-2000:]}")


def is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/v2/models/pose/ready")
    return connection.getresponse().status == 200


def send(port: int, body: bytes, header_length: int) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {HEADER_LENGTH: str(header_length)}
    connection.request("POST", "/v2/models/pose/infer", body, headers)
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        assert json.loads(content)["error"]
        return response.status, {}
    # Without numbers, there is nothing but JSON.
    length = int(response.headers.get(HEADER_LENGTH, len(content)))
    place, arrays = length, {}
    for output in json.loads(content[:length])["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size", 0)
        array = np.frombuffer(content[place : place + size], np.float32)
        arrays[output["name"]] = array.reshape(output["shape"])
        place += size
    return response.status, arrays


def ask(port: int, images: list[bytes], boxes: np.ndarray, claimed: int = 0) -> Answer:
    """Sends a request in the protocol's binary form; status and outputs.

    Images may be `claimed` to have another length than they have.
    """
    lengths = [claimed or len(image) for image in images]
    pairs = zip(lengths, images, strict=True)
    encoded = b"".join(n.to_bytes(4, "little") + image for n, image in pairs)
    raw = {"image_bytes": encoded, "boxes": boxes.astype("<f4").tobytes()}
    shapes = {"image_bytes": [len(images)], "boxes": list(boxes.shape)}
    types = {"image_bytes": "BYTES", "boxes": "FP32"}
    inputs = [
        {
            "name": name,
            "shape": shapes[name],
            "datatype": types[name],
            "parameters": {"binary_data_size": len(content)},
        }
        for name, content in raw.items()
    ]
    outputs = [{"name": n, "parameters": {"binary_data": True}} for n in OUTPUTS]
    header = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
    return send(port, header + b"".join(raw.values()), len(header))


def draw_requests() -> list[tuple[str, list[bytes], np.ndarray]]:
    """Requests of all kinds, each with the name of its kind."""
    generator = np.random.default_rng(0)

    def image() -> bytes:
        height, width = generator.integers(20, 120, 2)
        pixels = generator.integers(0, 256, (height, width, 3), np.uint8)
        return cv2.imencode(".png", pixels)[1].tobytes()

    def boxes(*shape: int) -> np.ndarray:
        return generator.uniform(1, 60, (*shape, 4)).astype(np.float32)

    odd = boxes(1, 5)
    odd[0, 1:] = np.array([[np.nan], [np.inf], [np.finfo(np.float32).max], [0]])
    return [
        *(("valid", [image()], boxes(1, people)) for people in (1, 2, 3)),
        ("valid", [image(), image()], boxes(2, 2)),
        ("valid", [image()], boxes(1, 0)),
        ("valid", [image()], odd),
        ("valid", [image()], np.full([1, 2, 4], np.nan, np.float32)),
        ("no image", [b""], boxes(1, 1)),
        ("no image", [generator.bytes(500)], boxes(1, 1)),
        ("no image", [image()[:60]], boxes(1, 1)),
        ("shape", [image()], np.ones([1, 2, 5], np.float32)),
        ("shape", [image()], np.ones([4], np.float32)),
        ("shape", [image()], boxes(3, 1)),
    ]


def test_answers_are_the_savedmodel_s_and_garbage_gets_errors(port, saved_model_dir):
    model = tf.saved_model.load(str(saved_model_dir))
    drawn = draw_requests()
    expected = {
        place: model.signatures["serving_default"](
            image_bytes=tf.constant(images), boxes=tf.constant(boxes)
        )
        for place, (kind, images, boxes) in enumerate(drawn)
        if kind == "valid"
    }
    odd = expected[5]["keypoints"].numpy()
    assert odd[0, 0].any() and not odd[0, 1:].any()

    def check(number: int) -> str:
        place = number % (len(drawn) + 1)
        if place == len(drawn):
            noise = np.random.default_rng(number)
            assert 400 <= send(port, noise.bytes(200), number % 300)[0] < 600
            _, images, boxes = drawn[0]
            claimed = int(noise.integers(1, 2**32))
            assert 400 <= ask(port, images, boxes, claimed)[0] < 600
            return "no request"
        kind, images, boxes = drawn[place]
        status, outputs = ask(port, images, boxes)
        if kind != "valid":
            assert 400 <= status < 600, kind
            return kind
        assert status == 200
        for name in OUTPUTS:
            wanted = expected[place][name].numpy()
            np.testing.assert_array_equal(outputs[name], wanted)
        return kind

    with futures.ThreadPoolExecutor(8) as pool:
        kinds = collections.Counter(pool.map(check, range(NUM_REQUESTS)))
    assert kinds.total() == NUM_REQUESTS and min(kinds.values()) > 30
    assert is_ready(port)
