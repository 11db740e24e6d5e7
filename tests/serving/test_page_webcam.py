"""The page's tab for a webcam: people keep their numbers from picture to picture."""

import base64
import os

import cv2
import numpy as np
import pytest
from fake_pose import FakePredictor
from page_requests import call, serving

from hrnet_tf.serving.predictor import DEFAULT_STYLE

gradio = pytest.importorskip("gradio", reason="needs the extra `demo`")
page_webcam = pytest.importorskip("hrnet_tf.serving.page_webcam")
page = pytest.importorskip("hrnet_tf.serving.page")
page_parts = pytest.importorskip("hrnet_tf.serving.page_parts")


class People(FakePredictor):
    """Finds one person in the whole picture, and notes what it is shown."""

    needs_boxes = False
    columns = ("person",)
    shown: list = []

    class metadata(FakePredictor.metadata):
        task = "people"

    def predict_image(self, image, boxes=None):
        self.shown.append(image.shape)
        return super().predict_image(image, boxes)


def snapshot(image, head=page_parts.SNAPSHOT):
    content = cv2.imencode(".jpg", image)[1].tobytes()
    return {"path": None, "url": head + base64.b64encode(content).decode()}


IMAGE = np.full((240, 320, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def port():
    with serving(page.build_page(People(DEFAULT_STYLE), max_pixels=1_000_000)) as port:
        yield port


def test_a_picture_of_the_webcam_is_predicted(port):
    People.shown.clear()
    answer = call(port, "look", snapshot(IMAGE), 0.2)
    assert "event: error" not in answer and ".png" in answer
    assert People.shown == [IMAGE.shape]


@pytest.mark.parametrize(
    "sent",
    [
        *(None, "abc", 3, [1], {}, {"path": "/etc/passwd"}),
        {"url": page_parts.SNAPSHOT + "!"},
        {"path": None, "url": page_parts.SNAPSHOT + "AAAA"},
        {"path": None, "url": "http://example.org/a.jpg"},
        {"path": "/etc/passwd", "url": page_parts.SNAPSHOT + "AAAA"},
        snapshot(IMAGE, "data:text/plain;base64,"),
        snapshot(np.zeros((1001, 1000, 3), np.uint8)),  # Too many pixels.
    ],
    ids=lambda sent: str(sent)[:40],
)
def test_what_is_no_picture_of_a_webcam_gets_a_sentence(port, sent, capfd):
    People.shown.clear()
    answer = call(port, "look", sent, 0.2)
    assert "event: error" in answer
    assert "What was sent" in answer or "cannot" in answer, answer
    assert not People.shown
    assert "Traceback" not in capfd.readouterr().err


def test_a_snapshot_is_no_upload(port):
    answer = call(port, "predict", snapshot(IMAGE), 0.2)
    assert "event: error" in answer and "not an uploaded picture" in answer


def test_models_of_no_people_have_no_such_tab():
    class Things(People):
        unit = "things"

    names = {fn.api_name for fn in page.build_page(Things(DEFAULT_STYLE)).fns.values()}
    assert "look" not in names and "predict" in names


def test_a_browser_streams_its_camera(port, chromium):
    context = chromium.new_context(permissions=["camera"])
    tab = context.new_page()
    tab.goto(f"http://127.0.0.1:{port}")
    tab.get_by_role("tab", name="Webcam").click()
    People.shown.clear()
    tab.get_by_text("Click to Access Webcam").last.click()
    tab.get_by_label("capture photo").last.click()  # Starts the stream.
    for _ in range(100):
        if len(People.shown) >= 3:
            break
        tab.wait_for_timeout(100)
    if folder := os.environ.get("SCREENSHOTS"):
        tab.screenshot(path=os.path.join(folder, "webcam.png"), full_page=True)
    assert len(People.shown) >= 3
    context.close()
