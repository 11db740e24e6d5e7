"""Augmentation and batches of segmentation, against plain numpy and OpenCV."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from hrnet_tf.configs.segmentation import Resizing, SegmentationData
from hrnet_tf.data.inputs.segmentation import SegmentationInput
from hrnet_tf.data.records import segmentation as segmentation_records
from hrnet_tf.data.records.shards import RecordError
from hrnet_tf.data.vocabularies.label_sets import label_set_from_spec

LABELS = label_set_from_spec(
    {"classes": ["none", "left", "right", "up"], "flip_pairs": [["left", "right"]]},
    "test",
)


def smooth_image(height, width, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def quadrants(height, width):
    labels = np.zeros((height, width), np.uint8)
    labels[: height // 2, : width // 3] = 1
    labels[height // 2 :, width // 3 :] = 2
    labels[: height // 4, width // 2 :] = 3
    labels[-2:, :2] = 255
    return labels


@pytest.fixture
def write_records(tmp_path):
    def write(*examples, num_classes=4):
        path = tmp_path / "train-0.tfrecord"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for image, labels in examples:
                encoded = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
                writer.write(
                    segmentation_records.encode_image_record(
                        encoded, "x.png", labels, num_classes
                    )
                )
        return str(path)

    return write


def training(path, crop_size, **augmentation):
    defaults = {"scale_min": 1.0, "scale_max": 1.0, "flip_probability": 0.0}
    return SegmentationData(
        input_path=path,
        is_training=True,
        global_batch_size=1,
        crop_size=crop_size,
        augmentation={**defaults, **augmentation},
    )


def read(data, resizing, count=1, **options):
    dataset = SegmentationInput(data, resizing, LABELS, **options).dataset()
    for images, labels in dataset.take(count):
        assert images.dtype == tf.uint8
        yield images[0].numpy().astype(int), labels["masks"][0, ..., 0].numpy()


@pytest.mark.parametrize("size", [(40, 60), (60, 40)])
@pytest.mark.parametrize("long_side", [60, 90, 37])
def test_the_long_side_is_resized_as_opencv_does(write_records, size, long_side):
    image, labels = smooth_image(*size), quadrants(*size)
    short = int(40 * long_side / 60 + 0.5)
    new = (short, long_side) if size[0] < size[1] else (long_side, short)
    path = write_records((image, labels))
    [(found, mask)] = read(training(path, list(new)), Resizing(long_side=long_side))
    expected = cv2.resize(image, new[::-1], interpolation=cv2.INTER_LINEAR)
    assert np.abs(found - expected).max() <= 1
    nearest = cv2.resize(labels, new[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    # Pixels halfway between two may become either.
    assert (mask == nearest).mean() > 0.97


def test_fixed_resizing_ignores_the_aspect_ratio(write_records):
    image, labels = smooth_image(40, 60), quadrants(40, 60)
    path = write_records((image, labels))
    resizing = Resizing(method="fixed", size=[33, 33])
    [(found, mask)] = read(training(path, [33, 33]), resizing)
    expected = cv2.resize(image, (33, 33), interpolation=cv2.INTER_LINEAR)
    assert np.abs(found - expected).max() <= 1
    assert set(np.unique(mask)) == {0, 1, 2, 3, 255}


def test_small_images_are_padded_black_and_ignored(write_records):
    image, labels = smooth_image(20, 30), quadrants(20, 30)
    path = write_records((image, labels))
    [(found, mask)] = read(training(path, [32, 48]), Resizing(long_side=30))
    np.testing.assert_array_equal(found[:20, :30], image)
    np.testing.assert_array_equal(mask[:20, :30], labels)
    assert not found[20:].any() and not found[:, 30:].any()
    assert (mask[20:] == 255).all() and (mask[:, 30:] == 255).all()


def test_colors_change_but_not_those_of_the_padding(write_records):
    image, labels = smooth_image(20, 30), quadrants(20, 30)
    path = write_records((image, labels))
    data = training(path, [32, 48], color={"contrast": 0.9, "hue": 0.5})
    (first, mask), (second, _) = read(data, Resizing(long_side=30), count=2)
    assert np.abs(first - second).max() > 2
    np.testing.assert_array_equal(mask[:20, :30], labels)
    for found in (first, second):
        assert not found[20:].any() and not found[:, 30:].any()
        assert found[:20, :30].any()


def test_mirroring_swaps_left_and_right(write_records):
    image, labels = smooth_image(24, 36), quadrants(24, 36)
    path = write_records((image, labels))
    data = training(path, [24, 36], flip_probability=1.0)
    [(found, mask)] = read(data, Resizing(long_side=36))
    np.testing.assert_array_equal(found, image[:, ::-1])
    swapped = np.array([0, 2, 1, 3, *range(4, 256)], np.uint8)[labels]
    np.testing.assert_array_equal(mask, swapped[:, ::-1])


def test_crops_come_from_anywhere_and_labels_move_along(write_records):
    # Each pixel tells its place, and so does its label.
    rows, columns = np.mgrid[:30, :40].astype(np.uint8)
    image = np.stack([rows * 4, columns * 4, rows * 0], axis=-1)
    labels = ((rows // 10) % 4).astype(np.uint8)
    path = write_records((image, labels))
    corners = set()
    for found, mask in read(training(path, [20, 20]), Resizing(long_side=40), 60):
        top, left = found[0, 0, 0] // 4, found[0, 0, 1] // 4
        corners.add((int(top), int(left)))
        assert 0 <= top <= 10 and 0 <= left <= 20
        np.testing.assert_array_equal(mask, labels[top : top + 20, left : left + 20])
    tops, lefts = zip(*corners, strict=True)
    assert {0, 10} <= set(tops) | {0, 10} and len(set(tops)) > 6
    assert min(lefts) < 4 and max(lefts) > 16


def test_with_one_seed_hosts_crop_other_places(write_records):
    path = write_records((smooth_image(90, 120), quadrants(90, 120)))
    data = training(path, [20, 20]).replace(sharding=False)

    def crops(host):
        tf.random.set_seed(1)
        source = SegmentationInput(data, Resizing(long_side=120), LABELS)
        dataset = source.dataset(tf.distribute.InputContext(2, host, 1))
        return [images.numpy() for images, _ in dataset.take(4)]

    first, again, other = crops(0), crops(0), crops(1)
    tf.random.set_seed(None)
    np.testing.assert_array_equal(first, again)
    assert not any(np.array_equal(*pair) for pair in zip(first, other, strict=True))


def test_scale_is_drawn_in_steps_and_apart_from_mirroring(write_records):
    columns = np.mgrid[:32, :32][1].astype(np.uint8)
    image = np.stack([columns * 7] * 3, axis=-1)
    path = write_records((image, columns // 8))
    data = training(
        path,
        [8, 8],
        scale_min=0.5,
        scale_max=2.0,
        scale_step=0.5,
        flip_probability=0.5,
    )
    scales, mirrored = [], []
    for found, _ in read(data, Resizing(long_side=32), 300):
        slope = (found[4, 5, 0] - found[4, 2, 0]) / 21
        scales.append(1 / abs(slope))
        mirrored.append(slope < 0)
    nearest = np.array([0.5, 1.0, 1.5, 2.0])
    distance = np.abs(np.array(scales)[:, None] - nearest)
    assert np.median(distance.min(axis=1)) < 0.1
    counts = np.bincount(distance.argmin(axis=1), minlength=4)
    assert counts.min() > 40
    # The Garden's own parser draws both from one number: r = -0.87.
    assert abs(np.corrcoef(scales, mirrored)[0, 1]) < 0.25
    assert 100 < np.sum(mirrored) < 200


def test_the_background_can_be_left_out(write_records):
    image, labels = smooth_image(20, 30), quadrants(20, 30)
    path = write_records((image, labels + (labels != 255)), num_classes=5)
    data = training(path, [20, 30])
    [(_, mask)] = read(data, Resizing(long_side=30), drop_background=True)
    np.testing.assert_array_equal(mask, labels)
    path = write_records((image, labels), num_classes=5)
    [(_, mask)] = read(data, Resizing(long_side=30), drop_background=True)
    lowered = np.where(labels == 255, 0, labels)
    expected = np.where(lowered == 0, 255, lowered - 1)
    np.testing.assert_array_equal(mask, expected)


def test_evaluation_keeps_images_and_fills_the_last_batch(write_records):
    examples = [
        (smooth_image(*size, seed=index), quadrants(*size))
        for index, size in enumerate([(20, 30), (40, 24), (16, 16)])
    ]
    path = write_records(*examples)
    data = SegmentationData(
        input_path=path, is_training=False, global_batch_size=2, drop_remainder=False
    )
    batches = list(SegmentationInput(data, Resizing(), LABELS).dataset())
    assert [images.shape for images, _ in batches] == [(2, 40, 30, 3), (2, 16, 16, 3)]
    found = []
    for images, labels in batches:
        sizes = labels["image_info"][:, 0].numpy().astype(int)
        for image, mask, (height, width) in zip(
            images.numpy(), labels["masks"].numpy()[..., 0], sizes, strict=True
        ):
            assert (mask[height:] == 255).all() and (mask[:, width:] == 255).all()
            if height:
                found.append((image[:height, :width], mask[:height, :width]))
    assert len(found) == 3
    for (image, mask), (expected, labels) in zip(found, examples, strict=True):
        np.testing.assert_array_equal(image, expected)
        np.testing.assert_array_equal(mask, labels)


def test_evaluations_may_have_one_shape_and_refuse_what_is_larger(write_records):
    path = write_records(*((smooth_image(*s), quadrants(*s)) for s in [(9, 8), (7, 6)]))
    data = SegmentationData(
        input_path=path, global_batch_size=1, drop_remainder=False, padded_size=[12, 8]
    )
    dataset = SegmentationInput(data, Resizing(), LABELS).dataset()
    assert dataset.element_spec[0].shape == (1, 12, 8, 3)
    assert dataset.element_spec[1]["masks"].shape == (1, 12, 8, 1)
    for _, labels in dataset:
        height, width = labels["image_info"][0, 0].numpy().astype(int)
        masks = labels["masks"][0, ..., 0].numpy()
        np.testing.assert_array_equal(masks[:height, :width], quadrants(height, width))
        assert (masks[height:] == 255).all() and (masks[:, width:] == 255).all()
    small = data.replace(padded_size=[8, 8])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"padded_size, \[8, 8\],"):
        list(SegmentationInput(small, Resizing(), LABELS).dataset())


def test_records_of_other_classes_are_refused(write_records, tmp_path):
    path = write_records((smooth_image(20, 30), quadrants(20, 30)), num_classes=7)
    data = training(path, [20, 30])
    with pytest.raises(RecordError, match="do not hold labels of 4 classes"):
        SegmentationInput(data, Resizing(), LABELS).dataset()
    (tmp_path / "text.tfrecord").write_text("nothing of the kind, but long enough")
    data.input_path = str(tmp_path / "text.tfrecord")
    with pytest.raises(RecordError, match="damaged or not a TFRecord"):
        SegmentationInput(data, Resizing(), LABELS).dataset()


def test_the_gardens_records_are_read(tmp_path):
    """They do not say how many classes there are."""
    image, labels = smooth_image(20, 30), quadrants(20, 30)

    def content(array):
        encoded = cv2.imencode(".png", array)[1].tobytes()
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))

    features = {
        "image/encoded": content(image[..., ::-1]),
        "image/segmentation/class/encoded": content(labels),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    path = str(tmp_path / "garden.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(example.SerializeToString())
    [(found, mask)] = read(training(path, [20, 30]), Resizing(long_side=30))
    np.testing.assert_array_equal(found, image)
    np.testing.assert_array_equal(mask, labels)
