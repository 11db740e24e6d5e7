import cv2
import numpy as np
import pytest
import tensorflow as tf
from signature_page import TFLITE, assert_documented

from hrnet_tf.ops import heatmaps
from hrnet_tf.ops.images import decode_image
from hrnet_tf.ops.oks import rescore
from hrnet_tf.serving.pose import module as pose_module
from hrnet_tf.serving.pose.module import person_scores


def test_signatures_are_those_of_the_page(build_module):
    module, _ = build_module()
    graphs = module.signatures()
    assert_documented("Pose", {**graphs, TFLITE: module.mobile_function(True)})


def test_people_are_scored_as_in_an_evaluation():
    generator = np.random.default_rng(0)
    keypoints = generator.uniform(-0.2, 1, (5, 4, 3)).astype(np.float32)
    keypoints[3, :, 2] = 0.1
    scores = person_scores(keypoints[..., 2], 0.2)
    np.testing.assert_allclose(scores, rescore(keypoints, np.ones(5), 0.2), atol=1e-6)
    assert scores[3] == 0


@pytest.mark.parametrize("codec", ["msra", "dark"])
def test_keypoints_come_back_to_the_image(codec, build_module):
    """Those of a box are those of its crop, moved by the crop's place."""
    module, metadata = build_module(codec)
    image = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    height, width = metadata.input_size
    # A box that, padded, is the size of the crop: the two differ by a shift alone.
    left, top = 10, 5
    size = np.array([width, height]) / metadata.box_padding
    corner = np.array([left + width / 2, top + height / 2]) - size / 2
    box = np.array([*corner, *size], np.float32)
    answer = module.predict_images(image[np.newaxis], box[np.newaxis, np.newaxis])
    crop = image[top : top + height, left : left + width]
    expected = module.predict_crops(crop[np.newaxis])["keypoints"][0].numpy()
    expected[:, :2] += [left, top]
    np.testing.assert_allclose(answer["keypoints"][0, 0], expected, atol=1e-2)


def test_a_file_in_several_rows_is_decoded_once(build_module, monkeypatch):
    module, _ = build_module()
    decoded = []

    def counted(encoded):
        decoded.append(encoded.numpy())
        return decode_image(encoded)

    monkeypatch.setattr(pose_module, "decode_image", counted)
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (3, 40, 30, 3), np.uint8)
    files = [cv2.imencode(".png", image)[1].tobytes() for image in pixels]
    boxes = np.array([[2, 3, 20, 30]] * 5, np.float32)
    boxes[3] = 0  # The only one in the third file is nobody.
    rows = tf.constant([files[place] for place in (0, 1, 0, 2, 1)])
    found = module.predict_people(rows, boxes)["keypoints"].numpy()
    assert decoded == files[:2]
    for first, second in ((0, 2), (1, 4)):
        np.testing.assert_allclose(found[first], found[second], atol=1e-3)
    assert not found[3].any() and np.abs(found[0] - found[1]).max() > 1


def test_the_flip_test_is_the_evaluation_s(build_module):
    module, metadata = build_module("msra", True)
    plain, _ = build_module("msra", False)
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 32, 3), np.uint8)
    mirrored = heatmaps.flip_back(
        plain.predict_heatmaps(crops[:, :, ::-1]),
        metadata.skeleton.flip_permutation,
        shift_one_pixel=True,
    )
    expected = 0.5 * (plain.predict_heatmaps(crops) + mirrored)
    predicted = module.predict_heatmaps(crops)
    np.testing.assert_allclose(predicted, expected, rtol=1e-4, atol=1e-3)
