"""OpenCV's crops are those of TensorFlow, but for a few grey levels."""

import atexit
import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tensorflow as tf

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.configs.pose import Codec, PoseData
from hrnet_tf.data.files.coco_people import Person
from hrnet_tf.data.inputs import opencv_crops
from hrnet_tf.data.inputs.pose import PoseInput
from hrnet_tf.data.records.pose import encode_image_record
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.ops import affine
from hrnet_tf.training.experiment import ConfigError, parse_config
from hrnet_tf.training.validation import pose, validate

CROP_SIZE = (128, 96)


def matrices():
    boxes = tf.constant([[40, 20, 60, 110], [-30, -20, 90, 120], [120, 90, 150, 150.0]])
    center, size = affine.box_to_center_size(boxes, CROP_SIZE[1] / CROP_SIZE[0])
    return affine.crop_to_image_matrix(center, size, [0.0, 40.0, -70.0], CROP_SIZE)


def test_crops_are_those_of_tensorflow():
    noise = np.random.default_rng(0).integers(0, 256, (160, 200, 3), np.uint8)
    image = tf.constant(cv2.GaussianBlur(noise, (0, 0), 2))
    dataset = tf.data.Dataset.from_tensors(image).map(
        lambda image: opencv_crops.warp_crops(image, matrices(), CROP_SIZE)
    )
    assert dataset.element_spec == tf.TensorSpec([None, *CROP_SIZE, 3], tf.uint8)
    (crops,) = dataset
    expected = affine.warp_crops(image, matrices(), CROP_SIZE).numpy().astype(int)
    assert expected.std() > 10
    assert np.mean(np.abs(crops - expected) <= 2) >= 0.99


def test_no_people_have_no_crops():
    image = tf.zeros([8, 8, 3], tf.uint8)
    crops = opencv_crops.warp_crops(image, tf.zeros([0, 2, 3]), CROP_SIZE)
    assert crops.shape == (0, *CROP_SIZE, 3)


@pytest.mark.heavy
def test_training_alone_uses_opencv(monkeypatch):
    used = []

    def warp_crops(image, matrices, crop_size):
        used.append(crop_size)
        return affine.warp_crops(image, matrices, crop_size)

    monkeypatch.setattr(opencv_crops, "warp_crops", warp_crops)
    for is_training in (True, False):
        for crop_with_opencv in (True, False, None):
            data = PoseData(is_training=is_training, crop_with_opencv=crop_with_opencv)
            crop_people(data, record())
            assert bool(used) == (is_training and crop_with_opencv is not False)
            used.clear()


def test_pipelines_that_run_elsewhere_do_not_call_opencv_unasked(monkeypatch):
    monkeypatch.setattr(opencv_crops, "warp_crops", None)
    content = record()
    crop_people(PoseData(is_training=True, enable_tf_data_service=True), content)

    @tf.function(autograph=False)
    def on_parameter_servers():
        crop_people(PoseData(is_training=True), content)

    on_parameter_servers.get_concrete_function()


def crop_people(data, content):
    source = PoseInput(data, Codec(), CROP_SIZE, load_skeleton("coco17"))
    source.crop_people(tf.data.Dataset.from_tensors(content).map(source.decode))


def record():
    image = tf.io.encode_png(tf.zeros([40, 40, 3], tf.uint8)).numpy()
    keypoints = (5.0, 5.0, 2) * 17
    person = Person(1, [1, 1, 30, 30], area=900, iscrowd=False, keypoints=keypoints)
    return encode_image_record(
        encoded=image,
        image_id=1,
        filename="a.png",
        height=40,
        width=40,
        people=[person],
        keypoints_per_person=17,
    )


@pytest.mark.parametrize(
    "change",
    [
        "task.train_data.enable_tf_data_service=true",
        "runtime.distribution_strategy=parameter_server",
    ],
)
def test_pipelines_of_other_processes_have_no_opencv(change):
    opencv = "task.train_data.crop_with_opencv=true"
    params = parse_config("hrnet_pose_coco", [], [change, opencv])
    with pytest.raises(ConfigError, match="crop_with_opencv is true and .* processes"):
        validate(params, "train", pose.mistakes)


AN_UNFINISHED_PIPELINE = """
import sys
from hrnet_tf.configs.pose import Codec, PoseData
from hrnet_tf.data.inputs.pose import PoseInput
from hrnet_tf.data.vocabularies.skeletons import load_skeleton

data = PoseData(is_training=True, input_path=sys.argv[1], global_batch_size=8)
source = PoseInput(data, Codec(), (256, 192), load_skeleton("coco17"))
batches = iter(source.dataset())
for _ in range(40):
    next(batches)
"""


def test_a_process_ends_while_its_pipeline_is_at_work(tmp_path):
    path = str(tmp_path / "train-0.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for _ in range(20):
            writer.write(record())
    ended = subprocess.run(
        [sys.executable, "-c", AN_UNFINISHED_PIPELINE, path],
        stderr=subprocess.PIPE,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr.decode()


def test_the_end_waits_for_crops_and_not_for_ever(monkeypatch):
    slept, at_exit = [], []
    clock = SimpleNamespace(monotonic=lambda: sum(slept), sleep=slept.append)
    monkeypatch.setattr(opencv_crops, "time", clock)
    monkeypatch.setattr(atexit, "register", at_exit.append)
    at_work = opencv_crops._AtWork()
    assert at_exit == [at_work.wait]
    at_work.wait()
    assert not slept  # Nothing was cropped.
    with at_work:
        pass
    at_work.wait()
    assert sum(slept) == pytest.approx(0.3)
    at_work.wait()
    assert sum(slept) == pytest.approx(0.3)
    with at_work:  # One that does not end.
        at_work.wait()
    assert sum(slept) == pytest.approx(10.3, abs=0.05)
