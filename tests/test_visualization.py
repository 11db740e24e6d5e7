import types

import cv2
import numpy as np
import pytest

from hrnet_tf import visualization

GREEN, ORANGE, BLUE = (0, 200, 83), (255, 109, 0), (41, 121, 255)
SKELETON = types.SimpleNamespace(
    num_keypoints=4,
    limbs=((0, 1), (1, 2)),
    limb_colors=(GREEN, ORANGE),
)
SIZES = [(64, 48), (240, 320), (1500, 2000)]


def grey(height, width):
    return np.full((height, width, 3), 128, np.uint8)


def person(height, width):
    """One person, in shares of the image's size: keypoint 3 has no limb."""
    x_y = np.array([[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]])
    x_y = x_y * [width, height]
    return np.column_stack([x_y, np.ones(4)])[np.newaxis]


def color_at(image, x, y):
    return image[round(y), round(x)].astype(int)


def distance(color, other):
    return np.abs(np.subtract(color, other)).max()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_limbs_are_drawn_in_their_colors(height, width):
    people = person(height, width)
    drawn = visualization.draw_skeletons(grey(height, width), people, SKELETON)
    assert drawn.shape == (height, width, 3) and drawn.dtype == np.uint8
    assert distance(color_at(drawn, 0.5 * width, 0.25 * height), GREEN) < 60
    assert distance(color_at(drawn, 0.75 * width, 0.5 * height), ORANGE) < 60
    assert distance(color_at(drawn, 0.5 * width, 0.5 * height), (128,) * 3) == 0


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_limbs_have_a_dark_outline(height, width):
    people = person(height, width)
    drawn = visualization.draw_skeletons(grey(height, width), people, SKELETON)
    across = drawn[:, width // 2].astype(int).sum(axis=1)
    limb = round(0.25 * height)
    reach = max(3, height // 40)
    assert across[limb - reach : limb].min() < across[limb] - 30
    assert across[limb + 1 : limb + 1 + reach].min() < across[limb] - 30


def test_pixels_away_from_people_are_untouched():
    image = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
    drawn = visualization.draw_skeletons(image, person(90, 70), SKELETON)
    changed_rows = np.flatnonzero((drawn != image).any(axis=(1, 2)))
    assert changed_rows.min() > 15 and changed_rows.max() < 75


def test_line_width_follows_the_size_of_the_person():
    small = person(60, 60)
    large = person(600, 600)
    drawn = visualization.draw_skeletons(grey(600, 600), small, SKELETON)
    small_width = (drawn[:, 30] != 128).any(axis=-1).sum()
    drawn = visualization.draw_skeletons(grey(600, 600), large, SKELETON)
    large_width = (drawn[:300, 300] != 128).any(axis=-1).sum()
    assert 2 <= small_width < large_width < 20


def test_dense_keypoints_get_thin_lines():
    """A face's 98 keypoints are not 98 large discs."""
    around = np.linspace(0, 2 * np.pi, 98, endpoint=False)
    ring = 300 + 250 * np.column_stack([np.cos(around), np.sin(around)])
    face = np.column_stack([ring, np.ones(98)])[np.newaxis]
    limbs = [(i, (i + 1) % 98) for i in range(98)]
    dense = types.SimpleNamespace(
        num_keypoints=98, limbs=limbs, limb_colors=[GREEN] * 98
    )
    drawn = visualization.draw_skeletons(grey(600, 600), face, dense)
    # The line across the rightmost point, outline included.
    assert 2 <= (drawn[300, 400:] != 128).any(axis=-1).sum() <= 12


def test_a_body_keeps_its_lines_beside_dense_keypoints():
    """The arm of a whole body is as wide as without the fingers of its hand."""
    arm = np.array([[100.0, 300], [300, 300]])
    hand = [300, 300] + np.random.default_rng(0).uniform(-20, 20, (30, 2))
    widths = []
    for points in (arm, np.concatenate([arm, hand])):
        skeleton = types.SimpleNamespace(
            num_keypoints=len(points), limbs=[(0, 1)], limb_colors=[GREEN]
        )
        people = np.column_stack([points, np.ones(len(points))])[np.newaxis]
        drawn = visualization.draw_skeletons(grey(600, 600), people, skeleton)
        widths.append((drawn[:, 200] != 128).any(axis=-1).sum())
    # What is not enlarged is drawn to a pixel.
    assert abs(widths[0] - widths[1]) <= 1 and widths[1] > 5


def test_inputs_are_not_modified():
    image, people = grey(100, 100), person(100, 100)
    boxes, scores = np.array([[20.0, 20, 60, 60]]), np.array([0.5])
    visualization.draw_skeletons(image, people, SKELETON, boxes=boxes, scores=scores)
    visualization.compare_skeletons(
        image, people, people, SKELETON, boxes=boxes, cell_size=(200, 200)
    )
    visualization.draw_heatmaps(image, np.ones((25, 25, 2)))
    assert (image == 128).all()
    np.testing.assert_array_equal(people, person(100, 100))
    np.testing.assert_array_equal(boxes, [[20, 20, 60, 60]])


def test_read_only_and_strided_images_are_accepted():
    image = grey(100, 200)[:, ::-2]
    image.flags.writeable = False
    drawn = visualization.draw_skeletons(image, person(100, 100), SKELETON)
    assert distance(color_at(drawn, 50, 25), GREEN) < 60


def test_low_scores_are_not_drawn():
    people = person(100, 100)
    people[0, :, 2] = [0.9, 0.9, 0.2, 0.1]
    drawn = visualization.draw_skeletons(grey(100, 100), people, SKELETON)
    assert distance(color_at(drawn, 50, 25), GREEN) < 60
    assert (drawn[40:] == 128).all()
    drawn = visualization.draw_skeletons(grey(100, 100), people, SKELETON, 0.95)
    assert (drawn == 128).all()


def test_keypoint_without_limb_is_a_dot():
    people = person(100, 100)
    people[0, :3, 2] = 0
    drawn = visualization.draw_skeletons(grey(100, 100), people, SKELETON)
    assert color_at(drawn, 25, 75).min() > 200
    assert (drawn[:60] == 128).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_keypoints_that_are_no_place_are_left_out(bad):
    people = person(100, 100)
    people[0, 1, 0] = bad
    drawn = visualization.draw_skeletons(
        grey(100, 100), people, SKELETON, boxes=np.full((1, 4), bad), scores=[bad]
    )
    assert (drawn[25, 40:60] == 128).all()
    assert color_at(drawn, 25, 75).min() > 200


def test_limbs_that_leave_the_image_are_cut_at_its_border():
    people = person(100, 100)
    people[0, 0, 0] = -60.0
    people[0, 2, 1] = 180.0
    drawn = visualization.draw_skeletons(
        grey(100, 100), people, SKELETON, boxes=[[-50.0, -50.0, 400.0, 90.0]]
    )
    assert distance(color_at(drawn, 0, 25), GREEN) < 60
    assert distance(color_at(drawn, 75, 99), ORANGE) < 60
    assert color_at(drawn, 50, 40).min() > 145  # The lower side of the box.


def test_small_people_are_drawn_over_large_ones():
    large, small = person(400, 400), person(400, 400)
    small[..., :2] = (small[..., :2] - [200, 100]) * 0.2 + [200, 100]
    # The small person's first limb stands upright across the large one's.
    small[0, :2, :2] = [[200, 80], [200, 120]]
    small[0, 2:, 2] = 0
    for people in ([large, small], [small, large]):
        drawn = visualization.draw_skeletons(
            grey(400, 400), np.concatenate(people), SKELETON
        )
        # Its outline interrupts the large person's limb on both sides.
        row = drawn[100, 185:216].astype(int).sum(axis=-1)
        assert row.min() < 240


def test_boxes_and_labels():
    image = grey(300, 400)
    boxes = np.array([[100.0, 120.0, 200.0, 100.0]])
    nobody = np.zeros((1, 4, 3))
    plain = visualization.draw_skeletons(image, nobody, SKELETON, boxes=boxes)
    assert color_at(plain, 200, 120).min() > 150
    assert color_at(plain, 300, 170).min() > 150
    assert (plain[:110] == 128).all()
    labelled = visualization.draw_skeletons(
        image, nobody, SKELETON, boxes=boxes, scores=[0.87]
    )
    tag = labelled[100:119, 102:125]
    assert tag.min() < 40 and tag.max() > 200
    assert (labelled[130:] == plain[130:]).all()


def test_labels_stay_inside_and_are_left_out_of_thumbnails():
    people = person(300, 300)
    people[0, :, :2] -= [75, 75]  # Touches the top left corner.
    arguments = grey(300, 300), people, SKELETON
    plain = visualization.draw_skeletons(*arguments)
    labelled = visualization.draw_skeletons(*arguments, scores=[0.5])
    tag = np.argwhere((labelled != plain).any(axis=-1))
    height, width = tag.max(axis=0) - tag.min(axis=0)
    assert tag.min() == 0 and height >= 10 and width >= 15
    small = visualization.draw_skeletons(grey(64, 64), person(64, 64), SKELETON)
    with_score = visualization.draw_skeletons(
        grey(64, 64), person(64, 64), SKELETON, scores=[0.5]
    )
    np.testing.assert_array_equal(with_score, small)


def test_image_without_people_is_returned_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    drawn = visualization.draw_skeletons(image, np.zeros((0, 4, 3)), SKELETON)
    np.testing.assert_array_equal(drawn, image)
    assert not np.shares_memory(drawn, image)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"image": np.zeros((9, 9, 3), np.float32)}, "image is float32"),
        ({"image": np.zeros((9, 9), np.uint8)}, "image is uint8"),
        ({"image": np.zeros((0, 9, 3), np.uint8)}, "empty"),
        ({"keypoints": np.zeros((2, 5, 3))}, r"\(2, 5, 3\).*people, 4, 3"),
        ({"boxes": np.zeros((3, 4))}, r"boxes has shape \(3, 4\)"),
        ({"scores": np.zeros(1)}, r"scores has shape \(1,\)"),
    ],
)
def test_wrong_shapes_are_refused(changed, message):
    arguments = {"image": grey(9, 9), "keypoints": np.zeros((2, 4, 3))}
    with pytest.raises(ValueError, match=message):
        visualization.draw_skeletons(**{**arguments, **changed}, skeleton=SKELETON)


def test_heatmap_peak_lies_where_it_is_decoded():
    crop = grey(64, 48)
    heatmaps = np.zeros((16, 12, 2), np.float32)
    heatmaps[4, 3, 0] = heatmaps[10, 8, 1] = 1.0
    drawn = visualization.draw_heatmaps(crop, heatmaps)
    assert drawn.shape == crop.shape and drawn.dtype == np.uint8
    green = drawn[..., 1]  # Grows with the heat, unlike red and blue.
    assert np.unravel_index(green[:28].argmax(), (28, 48)) == (16, 12)
    assert np.unravel_index(green[28:].argmax(), (36, 48)) == (12, 32)
    np.testing.assert_array_equal(drawn[28, 22], crop[28, 22])


def test_heatmaps_of_any_range_are_drawn():
    crop = grey(64, 48)
    np.testing.assert_array_equal(
        visualization.draw_heatmaps(crop, np.full((16, 12, 3), -5.0)), crop
    )
    np.testing.assert_array_equal(
        visualization.draw_heatmaps(crop, np.full((16, 12, 3), np.nan)), crop
    )
    hot = visualization.draw_heatmaps(crop, np.full((16, 12, 3), 100.0))
    assert distance(hot[0, 0].astype(int), (252, 255, 164)) < 30
    with pytest.raises(ValueError, match=r"\(16, 12\)"):
        visualization.draw_heatmaps(crop, np.zeros((16, 12)))


def test_grid_places_images_in_rows():
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    images = [np.full((20, 30, 3), color, np.uint8) for color in colors]
    grid = visualization.image_grid(images, columns=2, cell_size=(40, 60))
    assert grid.shape == (2 * 40 + 3 * 2, 2 * 60 + 3 * 2, 3)
    assert tuple(grid[22, 32]) == colors[0]
    assert tuple(grid[22, 94]) == colors[1]
    assert tuple(grid[64, 32]) == colors[2]
    assert grid[64, 94].max() < 40


def test_grid_keeps_aspect_ratios():
    wide = np.full((10, 100, 3), 255, np.uint8)
    tall = np.full((100, 50, 3), 255, np.uint8)
    grid = visualization.image_grid([wide, tall], columns=1, cell_size=(100, 100))
    white = (grid == 255).all(axis=-1)
    assert white[2:102].sum() == 10 * 100
    assert white[104:204].sum() == 100 * 50
    assert visualization.image_grid([wide, tall], columns=2).shape == (104, 206, 3)


def test_grid_captions_stand_above_the_cells():
    images = [grey(200, 200), grey(200, 200)]
    plain = visualization.image_grid(images, columns=2)
    captioned = visualization.image_grid(
        images, columns=2, captions=["ä", "long " * 99]
    )
    bar = captioned.shape[0] - plain.shape[0]
    assert bar >= 16 and captioned.shape[1] == plain.shape[1]
    assert captioned[:bar, :202].max() > 200
    assert captioned[:bar, 204:].max() > 200
    np.testing.assert_array_equal(captioned[bar + 2 :], plain[2:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": [], "columns": 2}, "0 images"),
        ({"images": [grey(9, 9)], "columns": 0}, "columns=0"),
        ({"images": [grey(9, 9)], "columns": 1, "captions": ["a", "b"]}, "2 captions"),
        ({"images": [np.zeros((9, 9))], "columns": 1}, r"images\[0\]"),
    ],
)
def test_wrong_grids_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        visualization.image_grid(**arguments)


@pytest.mark.parametrize("cell_size", [None, (300, 500)])
def test_comparison_shows_prediction_left_and_truth_right(cell_size):
    image = grey(150, 200)
    predicted, truth = person(150, 200), person(150, 200)
    truth[0, 2:, 2] = 0  # No second limb.
    picture = visualization.compare_skeletons(
        image, predicted, truth, SKELETON, cell_size=cell_size
    )
    height, width = cell_size or (150, 200)
    left, right = picture[-height:, : width + 4], picture[-height:, width + 4 :]

    def has(half, color):
        return (np.abs(half.astype(int) - color).max(axis=-1) < 60).any()

    assert has(left, GREEN) and has(right, GREEN)
    assert has(left, ORANGE) and not has(right, ORANGE)


def test_comparison_moves_keypoints_and_boxes_with_the_image():
    image = grey(100, 100)
    image[45:55, 45:55] = 0
    people = person(100, 100)
    people[0, :2, :2] = [[30, 50], [70, 50]]
    people[0, 2:, 2] = 0
    picture = visualization.compare_skeletons(
        image,
        people,
        people,
        SKELETON,
        boxes=[[20.0, 30.0, 60.0, 40.0]],
        cell_size=(400, 600),
    )
    gap, bar = 6, 30
    # The image is 4 times as large, and 100 pixels from the cell's left side.
    assert distance(color_at(picture, gap + 100 + 201, gap + bar + 201), GREEN) < 60
    assert color_at(picture, gap + 100 + 200, gap + bar + 120).min() > 200


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG"])
def test_written_image_reads_back(tmp_path, suffix):
    image = np.zeros((20, 30, 3), np.uint8)
    image[..., 0] = 250
    path = tmp_path / f"picture{suffix}"
    visualization.write_image(path, image)
    read = cv2.imread(str(path))[..., ::-1]
    assert np.abs(read.astype(int) - image).max() <= 6
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_image_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="picture.bmp.*png"):
        visualization.write_image(tmp_path / "picture.bmp", grey(4, 4))
    assert not list(tmp_path.iterdir())


# ---- classes of pixels ----


class Rooms:
    classes = ("floor", "wall", "door")
    colors = ((10, 20, 30), (200, 0, 0), (0, 0, 250))


def test_classes_are_laid_over_the_image():
    image = np.full((4, 6, 3), 100, np.uint8)
    labels = np.zeros((4, 6), np.uint8)
    labels[:, 2:4] = 2
    labels[:, 4:] = 255
    picture = visualization.draw_labels(image, labels, Rooms, opacity=0.5)
    assert picture[0, 0].tolist() == [55, 60, 65]
    assert picture[0, 2].tolist() == [50, 50, 175]
    assert picture[0, 5].tolist() == [100, 100, 100]
    assert (image == 100).all()


def test_a_legend_names_the_classes_asked_for():
    image = np.full((120, 160, 3), 100, np.uint8)
    labels = np.zeros((120, 160), np.uint8)
    short = visualization.draw_labels(image, labels, Rooms, legend=[1])
    long = visualization.draw_labels(image, labels, Rooms, legend=[0, 1, 2])
    for picture in (short, long):
        np.testing.assert_array_equal(
            picture[:, :160], visualization.draw_labels(image, labels, Rooms)
        )
    red, blue = (np.array(color) for color in Rooms.colors[1:])
    assert (short[:, 160:] == red).all(-1).sum() > 20
    assert not (short[:, 160:] == blue).all(-1).any()
    assert (long[:, 160:] == blue).all(-1).sum() > 20


def test_many_classes_get_several_columns():
    class Many:
        classes = tuple(f"class {number}" for number in range(60))
        colors = tuple((250, number, 0) for number in range(60))

    image = np.zeros((100, 100, 3), np.uint8)
    labels = np.full((100, 100), 255)
    picture = visualization.draw_labels(image, labels, Many, legend=range(60))
    bar = picture[:, 100:].reshape(-1, 3)
    drawn = {tuple(color) for color in bar.tolist()}
    assert drawn >= {tuple(color) for color in Many.colors}


def test_labels_must_fit_the_image():
    with pytest.raises(ValueError, match="labels has shape"):
        visualization.draw_labels(
            np.zeros((4, 6, 3), np.uint8), np.zeros((6, 4)), Rooms
        )


def test_labels_are_compared_side_by_side():
    image = np.full((40, 60, 3), 100, np.uint8)
    ones, twos = np.full((40, 60), 1), np.full((40, 60), 2)
    picture = visualization.compare_labels(image, ones, twos, Rooms)
    height, width = picture.shape[:2]
    assert picture[height // 2, width // 4, 0] > picture[height // 2, width // 4, 2]
    right = picture[height // 2, 3 * width // 4]
    assert right[2] > right[0]


def test_pictures_of_objects():
    image = np.full((60, 80, 3), 100, np.uint8)
    found = [
        {"bbox": [10, 20, 30, 30], "category_id": 2, "score": 0.9},
        {
            "bbox": [50, 30, 20, 20],
            "category_id": 1,
            "segmentation": [[50, 30, 70, 30, 70, 50, 50, 50]],
        },
    ]
    picture = visualization.draw_instances(image, found, {1: "cat"})
    assert picture.shape == image.shape and (image == 100).all()
    changed = (picture != image).any(axis=-1)
    assert changed[40:48, 55:65].all(), "the mask is filled"
    assert not changed[25:45, 15:35].any(), "a box without a mask is empty"
    assert not changed[:5, 60:].any()
    nothing = visualization.draw_instances(image, [], {})
    np.testing.assert_array_equal(nothing, image)
