"""The SavedModel as servers run it: from C++, and through gRPC's messages."""

import base64
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from concurrent import futures
from pathlib import Path

import cv2
import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from hrnet_tf.serving import saved_model
from hrnet_tf.serving.predictors import load_predictor

IMAGE = np.random.default_rng(3).integers(0, 256, (70, 90, 3), np.uint8)
BOX = [10.0, 5.0, 40.0, 60.0]


def encode(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


# ---- C++ ----


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> str:
    """The compiled program; it needs nothing but the TensorFlow wheel."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs a C++ compiler, g++")
    program = str(tmp_path_factory.mktemp("runner") / "saved_model_runner")
    libraries = tf.sysconfig.get_lib()
    command = [
        compiler,
        str(Path(__file__).with_name("saved_model_runner.cc")),
        *tf.sysconfig.get_compile_flags(),
        f"-L{libraries}",
        f"-Wl,-rpath,{libraries}",
        "-Wl,--no-as-needed",
        "-l:libtensorflow_cc.so.2",
        "-l:libtensorflow_framework.so.2",
        "-o",
        program,
    ]
    compiled = subprocess.run(command, capture_output=True, text=True)
    assert compiled.returncode == 0, compiled.stderr
    return program


@pytest.mark.heavy
def test_loads_and_runs_in_cpp(runner, saved_model_dir, tmp_path):
    (tmp_path / "image.png").write_bytes(encode(IMAGE))
    arguments = [str(saved_model_dir), str(tmp_path / "image.png"), *map(str, BOX)]
    done = subprocess.run([runner, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    keypoints, scores = load_predictor(str(saved_model_dir)).predict_people(
        IMAGE, np.array([BOX])
    )
    expected = [*scores, *keypoints.ravel()]
    received = np.array(done.stdout.split(), float)
    np.testing.assert_allclose(received, expected, rtol=1e-4)

    (tmp_path / "image.png").write_bytes(b"garbage")
    done = subprocess.run([runner, *arguments], capture_output=True, text=True)
    assert done.returncode == 1
    assert "INVALID_ARGUMENT" in done.stderr


# ---- gRPC ----


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers Predict from a graph session, as TensorFlow Serving does."""

    def __init__(self, folder: str):
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            meta_graph = tf.compat.v1.saved_model.loader.load(
                self._session, ["serve"], folder
            )
        self.signatures = meta_graph.signature_def

    def Predict(self, request, context):
        signature = self.signatures[request.model_spec.signature_name]
        feeds = {
            signature.inputs[name].name: tf.make_ndarray(tensor)
            for name, tensor in request.inputs.items()
        }
        fetches = {name: info.name for name, info in signature.outputs.items()}
        try:
            outputs = self._session.run(fetches, feeds)
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        response = predict_pb2.PredictResponse()
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response


@pytest.fixture(scope="module")
def service(saved_model_dir) -> Service:
    return Service(str(saved_model_dir))


@pytest.fixture(scope="module")
def address(service):
    """A server that answers with the model."""
    server = grpc.server(futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


@pytest.fixture(scope="module")
def predict(address):
    """A client's call: signature and inputs to outputs, all by name."""
    with grpc.insecure_channel(address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

        def call(signature: str, **inputs) -> dict[str, np.ndarray]:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "pose"
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            outputs = stub.Predict(request).outputs
            return {name: tf.make_ndarray(value) for name, value in outputs.items()}

        yield call


def encoded(count: int) -> np.ndarray:
    return np.array([encode(IMAGE)] * count, object)


def test_signatures_are_as_documented(service):
    def shapes(infos):
        return {
            name: (
                types_pb2.DataType.Name(info.dtype),
                [dimension.size for dimension in info.tensor_shape.dim],
            )
            for name, info in infos.items()
        }

    boxes = ("DT_FLOAT", [-1, -1, 4])
    inputs = {
        "serving_default": {"image_bytes": ("DT_STRING", [-1]), "boxes": boxes},
        "image": {"images": ("DT_UINT8", [-1, -1, -1, 3]), "boxes": boxes},
        "people": {
            "image_bytes": ("DT_STRING", [-1]),
            "boxes": ("DT_FLOAT", [-1, 4]),
        },
        "crops": {"crops": ("DT_UINT8", [-1, 64, 32, 3])},
    }
    outputs = {
        "serving_default": {"keypoints": 4, "scores": 2},
        "image": {"keypoints": 4, "scores": 2},
        "people": {"keypoints": 3, "scores": 1},
        "crops": {"keypoints": 3, "heatmaps": 4},
    }
    for name in inputs:
        signature = service.signatures[name]
        assert signature.method_name == "tensorflow/serving/predict"
        assert shapes(signature.inputs) == inputs[name]
        assert {
            key: len(shape) for key, (_, shape) in shapes(signature.outputs).items()
        } == outputs[name]


def documented_client(beginning: str) -> str:
    """The block of docs/serving.md that begins so."""
    text = (Path(__file__).parents[2] / "docs/serving.md").read_text(encoding="utf-8")
    (block,) = re.findall(rf"```python\n({beginning}\n.*?)```", text, re.DOTALL)
    return block


def test_the_documented_client_of_grpc_works(address, tmp_path, monkeypatch):
    (tmp_path / "photo.jpg").write_bytes(encode(IMAGE))
    monkeypatch.chdir(tmp_path)
    names = {}
    client = documented_client("import grpc")
    exec(client.replace("localhost:8500", address), names)
    assert names["keypoints"].shape == (1, 1, 17, 3)


def test_the_documented_client_of_rest_works(predict, tmp_path, monkeypatch):
    """Against a server of this test, which reads TensorFlow Serving's JSON."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = json.loads(body)
            instances = request["instances"]
            files = [base64.b64decode(row["image_bytes"]["b64"]) for row in instances]
            outputs = predict(
                request["signature_name"],
                image_bytes=np.array(files, object),
                boxes=np.array([row["boxes"] for row in instances], np.float32),
            )
            rows = [
                {name: value[place].tolist() for name, value in outputs.items()}
                for place in range(len(instances))
            ]
            self.send_response(200 if self.path == "/v1/models/pose:predict" else 404)
            self.end_headers()
            self.wfile.write(json.dumps({"predictions": rows}).encode())

        def log_message(self, *arguments):
            pass

    (tmp_path / "photo.jpg").write_bytes(encode(IMAGE))
    monkeypatch.chdir(tmp_path)
    names = {}
    client = documented_client("import base64")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        exec(client.replace("localhost:8501", address), names)
        server.shutdown()
    assert np.shape([person["keypoints"] for person in names["people"]]) == (2, 17, 3)


@pytest.mark.parametrize(("batch", "people"), [(1, 1), (3, 2), (0, 2), (1, 0), (0, 0)])
def test_any_number_of_images_and_people(batch, people, predict):
    boxes = np.tile(np.array(BOX, np.float32), (batch, people, 1))
    boxes = boxes.reshape(batch, people, 4)
    outputs = predict("serving_default", image_bytes=encoded(batch), boxes=boxes)
    assert outputs["keypoints"].shape == (batch, people, 17, 3)
    assert outputs["scores"].shape == (batch, people)
    images = np.tile(IMAGE, (batch, 1, 1, 1))
    same = predict("image", images=images, boxes=boxes)
    np.testing.assert_array_equal(same["keypoints"], outputs["keypoints"])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_any_number_of_crops(count, predict):
    crops = np.zeros((count, 64, 32, 3), np.uint8)
    outputs = predict("crops", crops=crops)
    assert outputs["keypoints"].shape == (count, 17, 3)
    assert outputs["heatmaps"].shape == (count, 16, 8, 17)


def test_images_of_one_request_may_differ_in_size(predict):
    images = [encode(IMAGE), encode(IMAGE[:50, :40])]
    boxes = np.array([[BOX], [[0, 0, 40, 50]]], np.float32)
    both = predict("serving_default", image_bytes=np.array(images, object), boxes=boxes)
    for index in range(2):
        alone = predict(
            "serving_default",
            image_bytes=np.array(images[index : index + 1], object),
            boxes=boxes[index : index + 1],
        )
        np.testing.assert_allclose(
            both["keypoints"][index], alone["keypoints"][0], rtol=1e-4, atol=1e-2
        )


@pytest.mark.parametrize(
    "padding",
    [[0, 0, 0, 0], [3, 3, -1, 5], [3, 3, 5, 0], [np.nan] * 4, [0, 0, np.inf, 5]],
)
def test_padding_is_nobody_and_does_not_disturb(padding, predict):
    boxes = np.array([[BOX, padding, BOX]], np.float32)
    outputs = predict("serving_default", image_bytes=encoded(1), boxes=boxes)
    assert not outputs["keypoints"][0, 1].any()
    assert outputs["scores"][0, 1] == 0
    alone = predict("serving_default", image_bytes=encoded(1), boxes=boxes[:, :1])
    for place in (0, 2):
        np.testing.assert_allclose(
            outputs["keypoints"][0, place], alone["keypoints"][0, 0], rtol=1e-4
        )


# Images of several sizes, and people in two of them.
PICTURES = [encode(IMAGE), encode(IMAGE[:50, :40]), encode(IMAGE[20:])]
PEOPLE = [(0, BOX), (1, [0, 0, 40, 50]), (0, [30, 20, 50, 40]), (1, [5, 5, 20, 30])]


def rows_of(people) -> dict[str, np.ndarray]:
    return {
        "image_bytes": np.array([PICTURES[place] for place, _ in people], object),
        "boxes": np.reshape([box for _, box in people], [-1, 4]).astype(np.float32),
    }


def assert_same_people(received, expected):
    np.testing.assert_allclose(
        received["keypoints"], expected["keypoints"], rtol=0, atol=1e-4
    )
    np.testing.assert_allclose(received["scores"], expected["scores"], atol=1e-6)


def test_people_in_rows_are_those_of_padded_boxes(predict):
    boxes = np.zeros([3, 3, 4], np.float32)
    places = []
    for image, box in PEOPLE:
        places.append((image, int(boxes[image].any(axis=1).sum())))
        boxes[places[-1]] = box
    padded = predict(
        "serving_default", image_bytes=np.array(PICTURES, object), boxes=boxes
    )
    expected = {
        name: np.stack([padded[name][place] for place in places])
        for name in ("keypoints", "scores")
    }
    assert_same_people(predict("people", **rows_of(PEOPLE)), expected)
    assert expected["keypoints"].std(axis=0).max() > 1


@pytest.mark.parametrize("counts", [[1, 3], [3, 0, 1], [0, 0], [4]])
def test_requests_with_other_numbers_of_people_share_a_batch(counts, predict):
    """TensorFlow Serving puts requests together along the first dimension."""
    ends = np.cumsum(counts)
    requests = [PEOPLE[end - n : end] for n, end in zip(counts, ends, strict=True)]
    batch = predict("people", **rows_of([row for rows in requests for row in rows]))
    for rows, end in zip(requests, ends, strict=True):
        alone = predict("people", **rows_of(rows))
        part = {name: value[end - len(rows) : end] for name, value in batch.items()}
        assert alone["keypoints"].shape == (len(rows), 17, 3)
        assert_same_people(part, alone)


def test_rows_that_hold_no_person_are_nobody(predict):
    rows = rows_of([PEOPLE[0], (2, [0, 0, 0, 0]), PEOPLE[1], (0, [np.nan] * 4)])
    rows["image_bytes"][1] = b"not looked at"
    outputs = predict("people", **rows)
    assert not outputs["keypoints"][[1, 3]].any()
    assert not outputs["scores"][[1, 3]].any()
    people = {name: value[[0, 2]] for name, value in outputs.items()}
    assert_same_people(people, predict("people", **rows_of(PEOPLE[:2])))


@pytest.mark.parametrize("first", [[], [[0, 0, 0, 0]]])
def test_a_server_s_own_padding_changes_no_person(first, predict):
    """`pad_variable_length_inputs` pads with the first number of a request."""
    boxes = np.array([[*first, BOX]], np.float32)
    padding = np.full([1, 2, 4], boxes[0, 0, 0])
    padded = np.concatenate([boxes, padding], axis=1)
    outputs = predict("serving_default", image_bytes=encoded(1), boxes=padded)
    count = boxes.shape[1]
    alone = predict("serving_default", image_bytes=encoded(1), boxes=boxes)
    sent = {name: value[:, :count] for name, value in outputs.items()}
    assert_same_people(sent, alone)
    # After a row of zeros, it is nobody.
    assert outputs["scores"][:, count:].any() == (not first)


@pytest.mark.parametrize("signature", ["serving_default", "people"])
def test_as_many_images_as_boxes(signature, predict):
    shape = [1, 1, 4] if signature == "serving_default" else [1, 4]
    with pytest.raises(grpc.RpcError, match="as many along their first dimension"):
        predict(
            signature, image_bytes=encoded(2), boxes=np.resize(BOX, shape).astype("f")
        )


@pytest.mark.parametrize("content", [b"", b"garbage", encode(IMAGE)[:200]])
def test_what_is_no_image_is_an_error(content, predict):
    image_bytes = np.array([content], object)
    boxes = np.array([[BOX]], np.float32)
    with pytest.raises(grpc.RpcError) as caught:
        predict("serving_default", image_bytes=image_bytes, boxes=boxes)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_every_warmup_request_runs(saved_model_dir, predict):
    path = saved_model_dir / "assets.extra/tf_serving_warmup_requests"
    people = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.predict_log.request
        inputs = {name: tf.make_ndarray(t) for name, t in request.inputs.items()}
        outputs = predict(request.model_spec.signature_name, **inputs)
        people.append(outputs["scores"].shape[1])
    assert people == [1, 4]


def test_warmup_can_be_left_out(build_module, tmp_path):
    saved_model.write_saved_model(*build_module(), str(tmp_path / "1"), warmup=False)
    assert (tmp_path / "1/saved_model.pb").exists()
    assert not (tmp_path / "1/assets.extra/tf_serving_warmup_requests").exists()


def test_models_without_rows_of_people_are_loaded(build_module, tmp_path, monkeypatch):
    """As they were exported before there was a signature for these."""
    module, metadata = build_module()
    graphs = module.signatures()
    del graphs["people"]
    monkeypatch.setattr(module, "signatures", lambda: graphs)
    saved_model.write_saved_model(module, metadata, str(tmp_path / "1"))
    found, _ = load_predictor(str(tmp_path / "1")).predict_people(IMAGE, [BOX])
    assert found.shape == (1, 17, 3) and found.any()


# ---- the files ----


@pytest.mark.slow  # Exports twice.
def test_the_same_model_is_the_same_file(tmp_path):
    """Two processes, with other hashes of text, write the same bytes."""
    program = """
import sys
sys.path.insert(0, sys.argv[2])
import conftest
from hrnet_tf.serving import saved_model, tflite

module, metadata = conftest.build_module.__wrapped__()()
saved_model.write_saved_model(module, metadata, sys.argv[1] + "/1")
with open(sys.argv[1] + "/m.tflite", "wb") as file:
    file.write(tflite.convert(module, metadata))
"""
    processes = []
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        arguments = [str(tmp_path / seed), str(Path(__file__).parent)]
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stderr=subprocess.DEVNULL,
        )
        processes.append(process)
    assert [process.wait(300) for process in processes] == [0, 0]
    contents = []
    for folder in (tmp_path / "1", tmp_path / "2"):
        files = [path for path in folder.rglob("*") if path.is_file()]
        contents.append({str(f.relative_to(folder)): f.read_bytes() for f in files})
    assert len(contents[0]) == 8
    assert contents[0] == contents[1]
    with zipfile.ZipFile(tmp_path / "1/m.tflite") as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}


def test_functions_and_nodes_are_in_the_order_of_their_names(saved_model_dir):
    """TensorFlow's own order differs each time for detectors and joined models."""
    content = (saved_model_dir / "saved_model.pb").read_bytes()
    graph = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].graph_def
    functions = list(graph.library.function)
    names = [function.signature.name for function in functions]
    assert names == sorted(names) and len(names) > 1
    for function in functions:
        nodes = [node.name for node in function.node_def]
        assert nodes == sorted(nodes)
