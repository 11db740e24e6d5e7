"""Pages in one file."""

import base64
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from hrnet_tf.visualization import html_page
from hrnet_tf.visualization.error_cases import draw_errors

EVIL = '<script src="http://x">&"\''


class Reader(HTMLParser):
    """The tags, attributes and texts of a page, which must be well nested."""

    VOID = {"meta", "img", "circle", "rect", "polyline"}

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_everything_is_text():
    page = html_page.page(
        EVIL,
        [
            html_page.heading(EVIL),
            html_page.paragraph(EVIL),
            html_page.preformatted(EVIL),
            html_page.table([[EVIL, "a"], [EVIL, "b"]]),
            html_page.gallery([html_page.figure(None, EVIL)]),
            html_page.diagonal_chart(np.array([0.5]), np.array([0.25]), EVIL, EVIL),
        ],
    )
    reader = read(page)
    assert "script" not in reader.tags
    assert reader.texts.count(EVIL) == 10
    assert [value for name, value in reader.attributes if name == "src"] == []


def test_pictures_are_in_the_page():
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30] = (200, 30, 30)
    address = html_page.jpeg(image)
    reader = read(html_page.page("t", [html_page.figure(address, "a caption")]))
    attributes = dict(reader.attributes)
    assert attributes["alt"] == "a caption"
    prefix, encoded = attributes["src"].split(",")
    assert prefix == "data:image/jpeg;base64"
    found = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), 1)
    np.testing.assert_allclose(found[20, 5, ::-1], (200, 30, 30), atol=12)


def test_the_chart_has_its_points_in_place():
    x, y = np.array([0.0, 0.5, 1.0]), np.array([1.0, 0.5, 0.0])
    chart = html_page.diagonal_chart(x, y, "x", "y")
    reader = read(chart)
    places = [float(value) for name, value in reader.attributes if name in ("cx", "cy")]
    side = dict(reader.attributes)
    assert reader.tags.count("circle") == 3 and "viewbox" in side
    (left, top), (middle, centre), (right, bottom) = np.reshape(places, (3, 2))
    assert left < middle < right and top < centre < bottom
    assert middle - left == right - middle == centre - top


class Pair:
    """A skeleton of two keypoints and a limb."""

    num_keypoints = 2
    limbs = ((0, 1),)
    limb_colors = ((0, 200, 83),)


GREY = np.full((300, 400, 3), 128, np.uint8)
RED = np.array([255, 23, 68])


def is_red(picture):
    return np.abs(picture.astype(int) - RED).max(axis=-1) < 60


def test_wrong_keypoints_are_joined_to_where_they_belong():
    annotated = np.array([[100.0, 100, 2], [200, 200, 2]])
    predicted = np.array([[100.0, 100, 0.9], [200, 100, 0.1]])
    wrong = np.array([False, True])
    picture = draw_errors(GREY, predicted, annotated, wrong, Pair, (200, 200))
    assert picture.shape[0] > 200 and picture.shape[1] > 400
    left, right = np.array_split(is_red(picture), 2, axis=1)
    assert not right.any()
    rows, columns = np.nonzero(left)
    # A line straight down: the margin is 15 of 130 pixels on each side.
    assert np.ptp(columns) < 8 and 140 < np.ptp(rows) < 170
    nothing = draw_errors(
        GREY, predicted, annotated, np.zeros(2, bool), Pair, (200, 200)
    )
    assert not is_red(nothing).any()


def test_lines_of_many_keypoints_are_fine():
    class Face(Pair):
        num_keypoints = 98

    annotated = np.full((98, 3), 2.0)
    annotated[:2, :2] = [[100, 100], [200, 200]]
    annotated[2:, 2] = 0
    predicted = annotated + [0, -50, 0]
    wrong = np.array([False, True])
    few = draw_errors(GREY, predicted[:2], annotated[:2], wrong, Pair, (200, 200))
    wrong = np.arange(98) == 1
    many = draw_errors(GREY, predicted, annotated, wrong, Face, (200, 200))
    assert 0 < is_red(many).sum() < 0.7 * is_red(few).sum()


def test_keypoints_of_low_scores_are_drawn_if_they_are_wrong():
    """And the picture reaches to them; others are left out."""
    annotated = np.array([[100.0, 100, 2], [200, 200, 2]])
    pictures = {
        (score, is_wrong): draw_errors(
            GREY,
            np.array([[100.0, 100, 0.9], [350, 50, score]]),
            annotated,
            np.array([False, is_wrong]),
            Pair,
            (200, 200),
        )
        for score in (0.1, 0.9)
        for is_wrong in (False, True)
    }
    np.testing.assert_array_equal(pictures[0.1, True], pictures[0.9, True])
    assert (pictures[0.1, False] != pictures[0.9, False]).any()


@pytest.mark.parametrize("side", ["predicted", "annotated"])
def test_one_side_may_be_empty(side):
    person = {side: np.array([[100.0, 100, 2], [200, 200, 2]])}
    people = {"predicted": None, "annotated": None, **person}
    picture = draw_errors(
        GREY, *people.values(), np.ones(2, bool), Pair, cell_size=(200, 200)
    )
    halves = np.array_split(picture[30:], 2, axis=1)
    is_colored = [np.ptp(half, axis=-1).max() > 100 for half in halves]
    assert is_colored == [side == "predicted", side == "annotated"]


@pytest.mark.parametrize(
    "points", [[[-900, -900], [-800, -800]], [[5, 5], [5, 5]], [[399, 299], [9999, 0]]]
)
def test_people_beyond_the_image_are_no_fault(points):
    person = np.column_stack([np.array(points, float), [2, 2]])
    picture = draw_errors(GREY, person, person, np.ones(2, bool), Pair, (80, 80))
    assert picture.dtype == np.uint8


def test_others_are_drawn_on_the_right_alone():
    person = np.array([[100.0, 100, 2], [200, 200, 2]])
    other = np.array([[110.0, 190, 2], [190, 190, 2]])
    nothing = np.zeros(2, bool)
    alone, beside = (
        draw_errors(GREY, person, person, nothing, Pair, (200, 200), others)
        for others in (None, other[np.newaxis])
    )
    changed = [np.ptp(half) > 0 for half in np.array_split(alone - beside, 2, axis=1)]
    assert changed == [False, True]


def test_others_are_drawn_within_the_picture_alone():
    tall = np.array([[200.0, 10, 2], [202, 290, 2]])
    far = np.array([[-100.0, 150, 2], [399, 150, 2]])
    nothing = np.zeros(2, bool)
    alone, beside = (
        draw_errors(GREY, tall, tall, nothing, Pair, (200, 200), others)
        for others in (None, far[np.newaxis])
    )
    _, columns, _ = np.nonzero(alone != beside)
    assert 20 < np.ptp(columns) < 80
