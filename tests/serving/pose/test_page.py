import os
import socket
import subprocess
import sys
import time
import urllib.request

import cv2
import numpy as np
import pytest
from page_requests import call, serving

from hrnet_tf import demo
from hrnet_tf.serving.predictors import load_predictor

gradio = pytest.importorskip("gradio", reason="needs the extra `demo`")
gradio_client = pytest.importorskip("gradio_client")

BOX_COLUMNS = ["x", "y", "width", "height"]

IMAGE = np.random.default_rng(5).integers(0, 256, (120, 160, 3), np.uint8)


@pytest.fixture(scope="module")
def page(saved_model_dir):
    from hrnet_tf.serving.pose.page import DemoPage

    return DemoPage(load_predictor(str(saved_model_dir)))


def test_two_clicks_are_a_box(page):
    picture, boxes, corner = page.add_corner(IMAGE, [], None, [90, 20])
    assert boxes == [] and corner == [90, 20]
    np.testing.assert_array_equal(picture, IMAGE)
    picture, boxes, corner = page.add_corner(IMAGE, boxes, corner, [50, 100])
    assert boxes == [[50, 20, 40, 80]] and corner is None
    assert (picture != IMAGE).any()
    _, boxes, corner = page.add_corner(IMAGE, boxes, [5, 5], [5, 9])
    assert boxes == [[50, 20, 40, 80]] and corner is None


def test_shows_keypoints_and_heatmaps(page):
    boxes = [["50", 20, 40, 80], ["", "", "", None], [0, 0, 30, 60]]
    picture, heatmaps, rows = page.predict(IMAGE, boxes, 0.2)
    assert picture.shape == IMAGE.shape
    assert heatmaps.ndim == 3 and heatmaps.dtype == np.uint8
    assert len(rows) == 2 * 17
    assert rows[0][:2] == [1, "nose"] and rows[17][:2] == [2, "nose"]


def test_without_boxes_the_image_is_one_person(page):
    _, _, rows = page.predict(IMAGE, [], 0.2)
    _, _, same = page.predict(IMAGE, [[0, 0, 160, 120]], 0.2)
    assert rows == same and len(rows) == 17


@pytest.mark.parametrize(
    ("boxes", "sentence"),
    [
        ([[1, 2, 0, 4]], "Every box needs four numbers"),
        ([[1, 2, 3, -4]], "Every box needs four numbers"),
        ([[1, 2, "wide", 4]], "Every box needs four numbers"),
        ([[1, 2, 3]], "Every box needs four numbers"),
        ([[1, 2, 3, 4, 5]], "Every box needs four numbers"),
        ([[1, 2, 3, 4], [1, 2]], "Every box needs four numbers"),
        ([[1, 2, None, 4]], "Every box needs four numbers"),
        ([[1, 2, True, 4]], "Every box needs four numbers"),
        ([[float("nan"), 2, 3, 4]], "Every box needs four numbers"),
        ([[1, 2, float("inf"), 4]], "Every box needs four numbers"),
        ([[1, 2, 10**400, 4]], "Every box needs four numbers"),
        ([[1e30, 2, 3, 4]], "none beyond 1000000"),
        ([[1, 2, [3], {}]], "Every box needs four numbers"),
        ([[1, 2, 3, 4]] * 300, "There are 300 boxes; at most 50"),
    ],
)
def test_mistakes_are_shown(boxes, sentence, page):
    with pytest.raises(gradio.Error, match=sentence):
        page.predict(IMAGE, boxes, 0.2)
    with pytest.raises(gradio.Error, match=sentence):
        page.add_corner(IMAGE, boxes, None, [1, 2])


@pytest.mark.parametrize(
    "point", [None, "ab", 3, [1], [1, 2, 3], ["a", 1], [1, float("nan")], [1, 10**400]]
)
def test_a_click_nowhere_is_a_mistake(point, page):
    with pytest.raises(gradio.Error, match="A click needs a place"):
        page.add_corner(IMAGE, [], None, point)


@pytest.fixture(scope="module")
def port(page):
    from hrnet_tf.serving.pose.page import build_page

    with serving(build_page(page._predictor, max_pixels=200_000)) as port:
        yield port


@pytest.mark.parametrize(
    ("boxes", "threshold"),
    [
        *(
            (rows, 0.2)
            for rows in (
                [[1, 2, "wide", 4]],
                [[1, 2, float("nan"), 4]],
                [[1, 2, 3]],
                [[-5, 2, -3, 4]],
                [[1, 2, 3, 4]] * 300,
                [5],
                "abc",
                {"a": 1},
                None,
                [None],
                [[[1]]],
            )
        ),
        *(
            ([], value)
            for value in (-1, 1.5, float("nan"), "abc", None, [1], {}, "0.2")
        ),
    ],
    ids=str,
)
def test_requests_of_another_form_get_a_sentence(port, boxes, threshold, capfd):
    table = {"headers": BOX_COLUMNS, "data": boxes}
    for sent in (table, boxes):
        answer = call(port, "predict", sent, threshold)
        sentences = ("Every box", "boxes; at most", "cannot use what", "least score")
        sentences = (*sentences, "Upload a picture", "is less than", "is greater than")
        assert "event: error" in answer and any(s in answer for s in sentences), answer
    assert "Traceback" not in capfd.readouterr().err


def test_pictures_are_measured_before_they_are_decoded(address, tmp_path):
    # Ten thousand pixels in each direction, in a file of a few kilobytes.
    image = np.zeros((10_000, 10_000), np.uint8)
    cv2.imwrite(str(tmp_path / "bomb.png"), image)
    assert (tmp_path / "bomb.png").stat().st_size < 1_000_000
    client = gradio_client.Client(address, verbose=False)
    client.predict(
        gradio_client.handle_file(str(tmp_path / "bomb.png")), api_name="/take"
    )
    with pytest.raises(gradio_client.exceptions.AppError, match="100000000 pixels"):
        client.predict({"headers": BOX_COLUMNS, "data": []}, 0.2, api_name="/predict")


def test_a_model_without_heatmaps(mobile_file, tmp_path):
    from hrnet_tf.serving.pose.page import DemoPage, build_page

    path = tmp_path / "pose.tflite"
    path.write_bytes(mobile_file(with_maps=False))
    predictor = load_predictor(str(path))
    _, heatmaps, rows = DemoPage(predictor).predict(IMAGE, [], 0.2)
    assert heatmaps is None and len(rows) == 17
    build_page(predictor)


def test_mistakes_are_answered_in_a_sentence(saved_model_dir, capsys):
    assert demo.main(["demo", "--model=/nowhere"]) == 1
    assert "There is no model '/nowhere'" in capsys.readouterr().err
    assert demo.main(["demo", "--model=m", "--max_upload_mb=0"]) == 2
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert demo.main(["demo", f"--model={saved_model_dir}", f"--port={port}"]) == 1
    assert f"--port={port} cannot be listened at" in capsys.readouterr().err


# ---- in a browser ----


@pytest.fixture(scope="module")
def address(saved_model_dir):
    """The command, running."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "hrnet_tf.demo", f"--model={saved_model_dir}"]
    command += [f"--port={port}", "--max_upload_mb=1"]
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for _ in range(120):
            assert process.poll() is None, "the command ended"
            try:
                urllib.request.urlopen(address, timeout=5)
                break
            except OSError:
                time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def test_in_chromium(address, chromium, tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), IMAGE[..., ::-1])
    tab = chromium.new_page(viewport={"width": 1280, "height": 1400})
    foreign = []
    tab.on(
        "request",
        lambda request: (
            request.url.startswith(("http://127.0.0.1", "data:", "blob:"))
            or foreign.append(request.url)
        ),
    )
    tab.goto(address)
    tab.locator("input[type=file]").first.set_input_files(str(tmp_path / "photo.png"))
    shown = tab.locator("[data-testid=image] img, .image-frame img").first
    shown.wait_for(timeout=20_000)
    box = shown.bounding_box()
    # Two corners of a person.
    for x, y in ((0.3, 0.2), (0.6, 0.8)):
        place = {"x": x * box["width"], "y": y * box["height"]}
        shown.click(position=place)
        tab.wait_for_timeout(1000)
    tab.get_by_role("button", name="Find keypoints").click()
    tab.get_by_text("left_ankle").first.wait_for(timeout=30_000)
    if folder := os.environ.get("SCREENSHOTS"):
        tab.screenshot(path=os.path.join(folder, "demo.png"), full_page=True)
    # The table of keypoints, and pictures of the image, the skeleton and the heatmaps.
    assert "right_wrist" in tab.locator("body").inner_text()
    assert tab.locator("img").count() >= 3
    assert foreign == []


def test_what_cannot_be_read_gets_a_sentence(address, tmp_path):
    client = gradio_client.Client(address, verbose=False)

    def ask(path):
        client.predict(gradio_client.handle_file(str(path)), api_name="/take")
        *_, table = client.predict(
            {"headers": BOX_COLUMNS, "data": []}, 0.2, api_name="/predict"
        )
        return table["data"]

    cv2.imwrite(str(tmp_path / "photo.jpg"), IMAGE[..., ::-1])
    assert len(ask(tmp_path / "photo.jpg")) == 17
    content = (tmp_path / "photo.jpg").read_bytes()
    for cut, reason in ((400, "damaged"), (0, "the file is empty")):
        (tmp_path / "cut.jpg").write_bytes(content[:cut])
        with pytest.raises(gradio_client.exceptions.AppError) as error:
            ask(tmp_path / "cut.jpg")
        assert str(error.value).startswith("cut.jpg: not an image")
        assert reason in str(error.value)


def test_large_uploads_are_refused(address, chromium, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (800, 900, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "large.png"), noise)
    assert (tmp_path / "large.png").stat().st_size > 1_000_000
    tab = chromium.new_page()
    tab.goto(address)
    tab.locator("input[type=file]").first.set_input_files(str(tmp_path / "large.png"))
    tab.get_by_text("exceed the maximum allowed size").first.wait_for(timeout=20_000)
