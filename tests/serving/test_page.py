import contextlib
import dataclasses
import http.client
import logging
import os
import signal
import socket
import struct
import sys
import threading
import time
import types
import urllib.request
import zlib

import numpy as np
import pytest
from page_requests import call, run_apart, serving, upload
from PIL import Image, PngImagePlugin

from hrnet_tf import demo
from hrnet_tf import serving as serving_package
from hrnet_tf.api import loading
from hrnet_tf.messages import UserError
from hrnet_tf.serving.kinds import KINDS

gradio = pytest.importorskip("gradio", reason="needs the extra `demo`")
gradio_client = pytest.importorskip("gradio_client")
page = pytest.importorskip("hrnet_tf.serving.page", reason="needs Gradio")
page_server = pytest.importorskip("hrnet_tf.serving.page_server")

BROKEN_THRESHOLDS = [
    *(-0.1, 1.1, float("nan"), float("inf"), 10**400, "abc", None, [0.5], {}, True),
]


@dataclasses.dataclass(frozen=True)
class Style:
    keypoint_score_threshold: float = 0.0
    box_score_threshold: float = 0.0


@dataclasses.dataclass(frozen=True)
class Prediction:
    image: np.ndarray
    style: Style = dataclasses.field(default_factory=Style)

    def styled(self, **style):
        return dataclasses.replace(self, style=Style(**style))

    def picture(self):
        return self.image

    def table(self):
        return [[*self.image.shape[:2], self.style.box_score_threshold]]


class Predictor:
    """Finds the image's size."""

    columns = ("height", "width", "least")
    unit = "sizes"

    class metadata:
        task = "size"

    def predict_image(self, image, boxes):
        return Prediction(image)


@pytest.fixture(scope="module", params=["segmentation", "detection", "people"])
def client(request):
    """A client of the page that shows models of a kind."""
    with serving(KINDS[request.param].page(Predictor())) as port:
        yield gradio_client.Client(f"http://127.0.0.1:{port}", verbose=False)


def ask(client, path):
    picture, table = client.predict(
        gradio_client.handle_file(str(path)), 0.25, api_name="/predict"
    )
    return Image.open(picture).size, table["data"]


def test_the_button_predicts(client, tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    assert ask(client, tmp_path / "a.png") == ((40, 30), [[30, 40, 0.25]])


def test_pictures_are_turned_by_exif_alone(client, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "exif.jpg", exif=exif)
    assert ask(client, tmp_path / "exif.jpg")[1] == [[40, 30, 0.25]]
    xmp = PngImagePlugin.PngInfo()
    xmp.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    Image.new("RGB", (40, 30)).save(tmp_path / "xmp.png", pnginfo=xmp)
    assert Image.open(tmp_path / "xmp.png").getexif()[0x0112] == 6
    assert ask(client, tmp_path / "xmp.png")[1] == [[30, 40, 0.25]]


def write_broken(path):
    """Writes a file that is no picture, is cut off, or has too many pixels."""
    if path.name == "none.jpg":
        path.write_bytes(b"no picture")
    elif path.name == "cut.jpg":
        noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:400])
    else:
        Image.new("1", (8, 8)).save(path)
        content = path.read_bytes()
        header = b"IHDR" + struct.pack(">II", 20_000, 20_000) + content[24:29]
        checksum = struct.pack(">I", zlib.crc32(header))
        path.write_bytes(content[:12] + header + checksum + content[33:])
    return path


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none.jpg", "^none.jpg: not an image, or of a format"),
        ("cut.jpg", "^cut.jpg: not an image, or a damaged one"),
        ("huge.png", "^huge.png: too large: it has 400000000 pixels"),
    ],
)
def test_what_cannot_be_read_gets_a_sentence(client, name, sentence, tmp_path, capfd):
    with pytest.raises(gradio_client.exceptions.AppError, match=sentence):
        ask(client, write_broken(tmp_path / name))
    assert "Traceback" not in capfd.readouterr().err


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.mark.parametrize("threshold", BROKEN_THRESHOLDS, ids=repr)
def test_a_threshold_that_is_none_gets_a_sentence(port, threshold, picture):
    kept = upload(port, picture)
    assert "event: complete" in call(port, "predict", kept, 0.5)
    answer = call(port, "predict", kept, threshold)
    assert "event: error" in answer
    assert "least score must be" in answer or "cannot use what was sent" in answer


@pytest.mark.parametrize("sent", ["abc", 3, [1], {"path": 5}, {"a": 1}, True], ids=str)
def test_what_is_no_upload_gets_a_sentence(port, sent):
    answer = call(port, "predict", sent, 0.5)
    assert "not an uploaded picture" in answer or "cannot use what" in answer


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}])
def test_other_files_of_the_machine_are_not_read(port, meta, picture):
    kept = upload(port, picture)["path"]
    beside = f"{os.path.dirname(kept)}/../../../{picture}"
    away = "http://example.org/a.png"
    for path in (str(picture), "/etc/passwd", "/dev/zero", "a.png", beside, away, ""):
        answer = call(port, "predict", {"path": path, **meta}, 0.5)
        assert "event: error" in answer, path
        assert "not an uploaded picture" in answer, path


def request(port, method, path, headers=(), body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body, dict(headers))
    response = connection.getresponse()
    names = [name.lower() for name, _ in response.getheaders()]
    return response.status, [n for n in names if n.startswith("access-control")]


ROUTES = [
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/config"),
    ("GET", "/theme.css"),
    ("GET", "/gradio_api/info"),
    ("GET", "/gradio_api/startup-events"),
    ("GET", "/gradio_api/queue/data?session_hash=a"),
    ("POST", "/gradio_api/queue/join"),
    ("POST", "/gradio_api/upload"),
    ("POST", "/gradio_api/run/predict"),
    ("POST", "/gradio_api/call/predict"),
    ("OPTIONS", "/gradio_api/queue/join"),
    ("GET", "/gradio_api/file=/etc/passwd"),
    ("GET", "/nowhere"),
]


@pytest.fixture(scope="module")
def port():
    with serving(KINDS["segmentation"].page(Predictor())) as port:
        yield port


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}],
    ids=str,
)
def test_other_sites_are_refused_on_every_route(port, method, path, headers):
    more = {"Access-Control-Request-Method": "POST", "Content-Type": "application/json"}
    assert request(port, method, path, {**more, **headers}, "{}") == (403, [])


def test_the_page_itself_is_answered_without_permissions(port):
    own = {"Origin": f"http://127.0.0.1:{port}"}
    assert request(port, "GET", "/config", own) == (200, [])
    assert request(port, "GET", "/config", {"Host": f"localhost:{port}"}) == (200, [])
    assert request(port, "GET", "/gradio_api/file=/etc/passwd", own)[0] == 403


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", '{"data": 5}', '{"data": [1]}', '{"fn_index": 99}']
)
def test_requests_of_another_form_are_refused(port, body, capfd):
    for path in ("queue/join", "run/predict", "upload", "cancel"):
        headers = {"Content-Type": "application/json"}
        status, _ = request(port, "POST", f"/gradio_api/{path}", headers, body)
        assert 400 <= status <= 500, path
    assert "Traceback" not in capfd.readouterr().err


def test_long_requests_are_refused(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest("POST", "/gradio_api/upload")
    connection.putheader("Content-Length", str(3 * 2**20))
    connection.endheaders()
    assert connection.getresponse().status == 413


def test_pictures_are_deleted_after_a_while(monkeypatch, tmp_path):
    monkeypatch.setattr(page, "_OLDEST", 1)
    monkeypatch.setattr(page, "_INTERVAL", 1)
    kept = tmp_path / "kept"
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(kept))
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    with serving(page.build_page(Predictor())) as port:
        client = gradio_client.Client(f"http://127.0.0.1:{port}", verbose=False)
        ask(client, tmp_path / "a.png")
        assert list(kept.rglob("*.png"))
        for _ in range(50):
            if not list(kept.rglob("*.png")):
                break
            time.sleep(0.2)
        assert not list(kept.rglob("*.png"))


@pytest.mark.parametrize("name", ["SHARE", "VIBE_MODE", "MCP_SERVER", "ROOT_PATH"])
def test_settings_of_the_environment_are_ignored(monkeypatch, name):
    monkeypatch.setenv(f"GRADIO_{name}", "True")
    monkeypatch.setenv("GRADIO_TEMP_DIR", "here")
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "True")
    demo._ignore_settings()
    found = {n: v for n, v in os.environ.items() if n.startswith("GRADIO_")}
    assert found == {"GRADIO_TEMP_DIR": "here", "GRADIO_ANALYTICS_ENABLED": "False"}


def test_what_is_left_of_gradio_is_not_enough(monkeypatch, capsys):
    """pip leaves a folder behind in which something else has written."""
    monkeypatch.setitem(sys.modules, "gradio", types.ModuleType("gradio"))
    monkeypatch.delitem(sys.modules, "hrnet_tf.serving.page_server", raising=False)
    monkeypatch.delattr(serving_package, "page_server", raising=False)
    assert demo.main(["demo", "--model=any"]) == 1
    error = capsys.readouterr().err
    assert "The page needs Gradio" in error and "Traceback" not in error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_page_as_any_command(monkeypatch, number, capsys):
    class Segmenter(Predictor):
        class metadata:
            task = "segmentation"

    monkeypatch.delenv("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", raising=False)
    monkeypatch.setattr(loading, "load", lambda *args, **kwargs: Segmenter())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    ended = threading.Event()

    def stop():
        for _ in range(100):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5).close()
                break
            time.sleep(0.1)
        # A signal after the command would end another test.
        if not ended.is_set():
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        code = demo.main(["demo", "--model=any", f"--port={port}"])
    finally:
        ended.set()
        thread.join()
    assert code == 128 + number
    assert f"Interrupted ({signal.Signals(number).name})." in capsys.readouterr().err
    # Else TensorFlow keeps the memory of the largest picture.
    assert os.environ["TF_ONEDNN_USE_SYSTEM_ALLOCATOR"] == "true"


def test_the_page_has_the_limit_that_is_given(monkeypatch, capsys):
    class Segmenter(Predictor):
        class metadata:
            task = "segmentation"

    def page(predictor, max_pixels):
        raise UserError(f"{max_pixels} pixels are the most.")

    kind = dataclasses.replace(KINDS["segmentation"], page=page)
    monkeypatch.setitem(KINDS, "segmentation", kind)
    monkeypatch.setattr(loading, "load", lambda *args, **kwargs: Segmenter())
    assert demo.main(["demo", "--model=any", "--max_pixels=1234"]) == 1
    assert "1234 pixels are the most." in capsys.readouterr().err


def test_the_log_tells_of_a_refusal_in_one_line(monkeypatch, caplog):
    async def fail(*args, **kwargs):
        raise ValueError("1 validation error\nheaders\n  Field required")

    monkeypatch.setattr(gradio.Blocks, "preprocess_data", fail)
    monkeypatch.setattr(logging.getLogger("hrnet_tf"), "propagate", True)
    with caplog.at_level(logging.INFO, "hrnet_tf"), pytest.raises(gradio.Error):
        run_apart(page.Page().preprocess_data(None, []))
    assert "(1 validation error headers Field required)" in caplog.text


def test_other_logs_stay_open(tmp_path):
    log = logging.FileHandler(tmp_path / "log")
    page_server.make_server(page.build_page(Predictor()), "127.0.0.1", 1, 1, [])
    assert log.stream is not None
    log.close()
