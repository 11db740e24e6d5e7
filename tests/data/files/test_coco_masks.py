"""Masks are checked before pycocotools, which trusts them, decodes them."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from hrnet_tf.data.files.coco_masks import compress, read_mask
from hrnet_tf.data.files.faults import Unusable

HEIGHT, WIDTH = 48, 64
SIZE = [HEIGHT, WIDTH]


def read(segmentation, height=HEIGHT, width=WIDTH):
    return read_mask({"segmentation": segmentation}, height, width, "ADVICE")


def compressed(mask) -> str:
    return coco_mask.encode(np.asfortranarray(mask))["counts"].decode()


def random_masks(count=60):
    rng = np.random.default_rng(0)
    for share in np.linspace(0, 1, count):
        yield (rng.random((HEIGHT, WIDTH)) < share).astype(np.uint8)
    for _ in range(count):  # Long runs, whose lengths take several characters.
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        y, x = rng.integers(0, HEIGHT), rng.integers(0, WIDTH)
        mask[y:, x:] = 1
        yield mask


def test_compressed_run_lengths_are_read_as_pycocotools_reads_them():
    for mask in random_masks():
        segmentation = {"size": SIZE, "counts": compressed(mask)}
        rle = compress({"segmentation": segmentation}, HEIGHT, WIDTH)
        np.testing.assert_array_equal(coco_mask.decode(rle), mask)


def test_masks_of_many_pixels():
    mask = np.zeros((3000, 4000), np.uint8)
    mask[100:2900, 7:3990] = 1
    segmentation = {"size": [3000, 4000], "counts": compressed(mask)}
    assert coco_mask.area(read(segmentation, 3000, 4000)) == mask.sum()


GOOD = compressed(np.tri(HEIGHT, WIDTH, dtype=np.uint8))
LARGER = compressed(np.ones((2 * HEIGHT, WIDTH), np.uint8))


@pytest.mark.parametrize(
    "counts",
    [
        GOOD[:-1],
        GOOD[: len(GOOD) // 2],
        GOOD + "1",
        GOOD + "P",  # A number that goes on, and ends.
        LARGER,
        "",
        "000",
        "b'" + GOOD + "'",
        GOOD + " ",
        "é" + GOOD,
        "\ud800",
        "o" * 20 + "0",  # More bits than a run can have.
        "ooooooO0",
        "O",  # -1
        "00O" + GOOD,
        "P" * 10_000,
        None,
        7,
        True,
        {},
        [],
        [HEIGHT * WIDTH, None],
        [float(HEIGHT * WIDTH)],
        [True] * (HEIGHT * WIDTH),
        [HEIGHT * WIDTH + 5, -5],
        [2**70, -(2**70) + HEIGHT * WIDTH],
        [2**61, 2**61, HEIGHT * WIDTH],
        [*[2**61] * 8, HEIGHT * WIDTH],  # Their sum wraps round in 64 bits.
        [HEIGHT * WIDTH, *[0] * (HEIGHT * WIDTH + 9)],
        [3, 4],
        ["3", "4"],
    ],
    ids=lambda counts: str(counts)[:20].encode("ascii", "replace").decode(),
)
def test_bad_run_lengths_are_refused(counts):
    with pytest.raises(Unusable, match="segmentation's counts"):
        read({"size": SIZE, "counts": counts})


def test_any_damage_is_refused_or_adds_up():
    """No text at all may reach pycocotools that is not a whole mask of this size."""
    rng = np.random.default_rng(1)
    alphabet = [chr(code) for code in range(48, 112)]
    accepted = 0
    for _ in range(2000):
        text = list(GOOD)
        for place in rng.integers(0, len(text), 2):
            text[place] = rng.choice(alphabet)
        try:
            segmentation = {"size": SIZE, "counts": "".join(text)}
            rle = compress({"segmentation": segmentation}, HEIGHT, WIDTH)
        except Unusable:
            continue
        accepted += 1
        assert coco_mask.decode(rle).shape == (HEIGHT, WIDTH)
        assert 0 <= coco_mask.area(rle) <= HEIGHT * WIDTH
    assert accepted < 1000


@pytest.mark.parametrize("size", [None, [WIDTH, HEIGHT], [HEIGHT], "48x64", 48, {}])
def test_bad_sizes_are_refused(size):
    with pytest.raises(Unusable, match=r"the size .*the image has \[48, 64\]"):
        read({"size": size, "counts": GOOD})


SQUARE = [1, 1, 9, 1, 9, 9, 1, 9]


@pytest.mark.parametrize(
    "segmentation",
    [
        [],
        {},
        None,
        "text",
        {"size": SIZE},
        {"counts": GOOD},
        [[]],
        [[], SQUARE],
        [SQUARE, [1, 1, 5, 5]],  # pycocotools takes four numbers for a box.
        [1, 2, 3, 4, 5, 6],
        [{"size": SIZE, "counts": GOOD}],
        [[*SQUARE, 1]],
        [[*SQUARE, 1, None]],
        [[*SQUARE, 1, float("nan")]],
        [[*SQUARE, "1", "2"]],
        [[*SQUARE, 1e8, 1e8]],  # pycocotools needs gigabytes for this outline.
        [[1e8, 1e8, 1e8 + 1, 1e8, 1e8, 1e8 + 1]],
        [[0, 0, 6e4, 6e4] * 500],
    ],
    ids=lambda value: str(value)[:30],
)
def test_other_bad_masks_are_refused(segmentation):
    with pytest.raises(Unusable, match="segmentation"):
        read(segmentation)


def test_polygons_may_leave_the_image():
    square = [-20, -9.5, 200, -9.5, 200, 100, -20, 100]
    assert coco_mask.area(read([square])) == HEIGHT * WIDTH


@pytest.mark.parametrize(
    "segmentation",
    [
        [[1000, 1000, 1010, 1000, 1010, 1010]],
        [[1, 1, 5, 1, 9, 1]],
        [[3.1, 3.1, 3.2, 3.1, 3.2, 3.2]],
        {"size": SIZE, "counts": [HEIGHT * WIDTH]},
        {"size": SIZE, "counts": compressed(np.zeros((HEIGHT, WIDTH), np.uint8))},
    ],
    ids=["outside", "line", "tiny", "background", "compressed background"],
)
def test_masks_without_a_pixel_are_refused(segmentation):
    with pytest.raises(Unusable, match="no pixel of the 64x48 image. ADVICE") as fault:
        read(segmentation)
    assert fault.value.kind == "empty mask"


def test_one_pixel_is_a_mask():
    counts = [HEIGHT * WIDTH - 1, 1]
    assert coco_mask.area(read({"size": SIZE, "counts": counts})) == 1
