"""RetinaNet for phones finds what the Garden's RetinaNet finds, without loops."""

import json

import numpy as np
import pytest
import tensorflow as tf
from official.core import task_factory

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.configs.detection import hrnet_fasterrcnn_coco, hrnet_retinanet_coco
from hrnet_tf.serving import tflite, tflite_operators
from hrnet_tf.serving.detection import mobile
from hrnet_tf.serving.detection.metadata import DetectionMetadata
from hrnet_tf.serving.detection.module import DetectionModule, normalize
from hrnet_tf.serving.predictors import load_predictor
from hrnet_tf.training.experiment import parse_config
from tests.conftest import TOY_DETECTOR, draw_detector_weights

SIZE = 128
CATEGORIES = {1: "person", 2: "disc", 3: "box", 4: "bar"}
INFO = tf.constant([[[SIZE, SIZE], [SIZE, SIZE], [1, 1], [0, 0]]], tf.float32)


def build(**generator):
    """(task, model) with random weights that find more than they may return."""
    toy = {**TOY_DETECTOR, "head": {"num_convs": 1, "num_filters": 8}}
    toy["detection_generator"] = {"max_num_detections": 12, **generator}
    overrides = [json.dumps({"task": {"model": toy}})]
    params = parse_config("hrnet_retinanet_coco", [], overrides)
    task = task_factory.get_task(params.task)
    model = task.build_model()
    draw_detector_weights(model)
    return task, model


@pytest.fixture(scope="module")
def retinanet():
    return build()


@pytest.fixture(scope="module")
def canvases():
    images = np.random.default_rng(1).integers(0, 256, (4, SIZE, SIZE, 3), np.uint8)
    return images, normalize(images)


def test_x(retinanet, canvases):
    task, model = retinanet
    import time
    t=time.time()
    expected = task.detect(model, canvases[1], tf.repeat(INFO, 4, axis=0))
    print(time.time()-t)
    for place in range(4):
        t=time.time()
        found = mobile.detect(model, task.task_config, canvases[1][place : place + 1])
        print(time.time()-t)
        for name in found:
            print(name, found[name].numpy()[0], expected[name][place].numpy())
    t=time.time()
    metadata = DetectionMetadata.of_task(task.task_config, CATEGORIES)
    module=DetectionModule(task, model, metadata)
    print(time.time()-t)
    c=tflite.convert(module, metadata)
    print(time.time()-t)
    print(tflite_operators.of_content(c))
    assert 0
