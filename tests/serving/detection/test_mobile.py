"""RetinaNet for phones finds what the Garden's RetinaNet finds, without loops."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from official.core import task_factory
from official.vision.modeling.layers import detection_generator
from official.vision.ops import anchor

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.configs.detection import hrnet_fasterrcnn_coco, hrnet_retinanet_coco
from hrnet_tf.ops.boxes import to_image_boxes
from hrnet_tf.serving import tflite, tflite_operators
from hrnet_tf.serving.detection import mobile
from hrnet_tf.serving.detection.metadata import DetectionMetadata
from hrnet_tf.serving.detection.module import DetectionModule, normalize
from hrnet_tf.serving.predictors import load_predictor
from hrnet_tf.training.experiment import parse_config
from tests.conftest import TOY_DETECTOR, draw_detector_weights

SIZE = 64
CLASSES = 3  # And the background.
ANCHORS = {
    "min_level": 3,
    "max_level": 4,
    "num_scales": 2,
    "aspect_ratios": [0.5, 1.0, 2.0],
    "anchor_size": 3.0,
}
# Places with anchors by level, and all of them.
PLACES = {"3": 8, "4": 4}
COUNT = 6 * (8 * 8 + 4 * 4)
# So many boxes that each overlap the next are decided right; docs/speed.md has why.
CHAIN = 9


def maps_of(logits, deltas):
    """What heads put out, by level, of float32 [COUNT, CLASSES] and [COUNT, 4]."""
    background = np.full([COUNT, 1], 9)  # It must not matter.
    flat = np.concatenate([background, logits], axis=1), deltas
    maps: tuple[dict, dict] = ({}, {})
    start = 0
    for level, side in PLACES.items():
        rows = slice(start, start := start + 6 * side * side)
        for values, of_levels in zip(flat, maps, strict=True):
            shape = [1, side, side, 6 * values.shape[1]]
            of_levels[level] = tf.constant(values[rows].reshape(shape), tf.float32)
    return maps


def garden(maps, config):
    """What the Garden's own suppression finds, as `mobile.detect` returns it."""
    scores, boxes = maps
    anchors = anchor.Anchor(**ANCHORS, image_size=[SIZE, SIZE]).multilevel_boxes
    anchors = {level: values[tf.newaxis] for level, values in anchors.items()}
    settings = config.model.detection_generator.as_dict()
    for name in ("tflite_post_processing", "decode_boxes"):
        del settings[name]
    generate = detection_generator.MultilevelDetectionGenerator(**settings)
    canvas = tf.constant([[SIZE, SIZE]], tf.float32)
    found = generate(boxes, scores, anchors, canvas)
    info = tf.constant([[[SIZE, SIZE], [SIZE, SIZE], [1, 1], [0, 0]]], tf.float32)
    count = int(found["num_detections"][0])
    return [
        np.array(values)[0][:count]
        for values in (
            to_image_boxes(found["detection_boxes"], info),
            found["detection_classes"],
            found["detection_scores"],
        )
    ]


def phone(maps, config, **arguments):
    """The same by `mobile.detect`."""
    model = SimpleNamespace(
        backbone=lambda canvas, training: canvas,
        decoder=lambda features, training: features,
        head=lambda features: (*maps, {}),
        get_config=lambda: ANCHORS,
    )
    found = mobile.detect(model, config, tf.zeros([1, SIZE, SIZE, 3]), **arguments)
    most = config.model.detection_generator.max_num_detections
    assert found["boxes"].shape == (1, most, 4)
    assert found["classes"].shape == found["scores"].shape == (1, most)
    assert found["classes"].dtype == found["num_detections"].dtype == tf.int32
    count = int(found["num_detections"][0])
    assert not found["scores"].numpy()[0, count:].any()
    return [found[name].numpy()[0][:count] for name in ("boxes", "classes", "scores")]


def config_of(**generator):
    config = hrnet_retinanet_coco().task
    config.model.num_classes = CLASSES + 1
    config.model.detection_generator.override(generator)
    return config


def assert_same(found, expected, in_order=True):
    """The same objects; those of equal scores in any order unless `in_order`."""
    rows, others = (
        np.concatenate([boxes, classes[:, np.newaxis], scores[:, np.newaxis]], axis=1)
        for boxes, classes, scores in (found, expected)
    )
    assert rows.shape == others.shape
    if not in_order:
        rows, others = (
            np.array(sorted(np.round(values, 3).tolist())) for values in (rows, others)
        )
    np.testing.assert_allclose(rows, others, atol=1e-3)


def draw(seed, mean):
    """Random maps: the higher the mean, the more objects."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(mean, 1.5, (COUNT, CLASSES))
    return logits, generator.normal(0, 0.4, (COUNT, 4))


@pytest.mark.parametrize(
    "generator",
    [{}, {"nms_version": "v1"}, {"nms_version": "batched"}, {"nms_iou_threshold": 0.7}],
)
@pytest.mark.parametrize("most", [100, 7])
def test_it_finds_what_the_garden_finds(generator, most):
    config = config_of(max_num_detections=most, **generator)
    maps = maps_of(*draw(0, -6.0))
    expected = garden(maps, config)
    assert 7 <= len(expected[0]) < 100 and len({*expected[1]}) == CLASSES
    assert_same(phone(maps, config), expected)


def test_scaled_codes_of_boxes():
    config = config_of(box_coder_weights=[10.0, 10.0, 5.0, 5.0])
    logits, deltas = draw(1, -6.0)
    maps = maps_of(logits, 5 * deltas)
    assert_same(phone(maps, config), garden(maps, config))


def test_no_objects():
    maps = maps_of(*draw(0, -20.0))
    boxes, classes, scores = phone(maps, config_of())
    assert boxes.shape == (0, 4) and classes.shape == scores.shape == (0,)
    assert_same((boxes, classes, scores), garden(maps, config_of()))


@pytest.mark.parametrize("seed", range(3))
def test_equal_scores(seed):
    """Of one class the first is the better one; in what order they are told is open."""
    logits, deltas = draw(seed, -6.0)
    logits[:, 1:] = -20
    logits = np.round(logits / 2) * 2
    maps = maps_of(logits, deltas)
    expected = garden(maps, config_of())
    assert len({*expected[2].tolist()}) < len(expected[2]) < 100
    assert_same(phone(maps, config_of()), expected, in_order=False)


def test_chains_of_overlaps():
    """Boxes that each overlap the next, in falling order of their scores."""
    logits, deltas = np.full([COUNT, CLASSES], -20.0), np.zeros([COUNT, 4])
    corners = mobile._over_levels(
        anchor.Anchor(**ANCHORS, image_size=[SIZE, SIZE]).multilevel_boxes, 4
    ).numpy()[0]
    for n in range(CHAIN):
        top, left, bottom, right = corners[n]
        wanted = np.array([10, 4 * n, 34, 4 * n + 14])
        deltas[n] = [
            (wanted[0] + wanted[2] - top - bottom) / 2 / (bottom - top),
            (wanted[1] + wanted[3] - left - right) / 2 / (right - left),
            np.log((wanted[2] - wanted[0]) / (bottom - top)),
            np.log((wanted[3] - wanted[1]) / (right - left)),
        ]
        logits[n, 1] = 3 - 0.2 * n
    maps = maps_of(logits, deltas)
    expected = garden(maps, config_of())
    np.testing.assert_allclose(expected[0][:, 0], np.arange(0, 4 * CHAIN, 8), atol=1e-3)
    assert_same(phone(maps, config_of()), expected)


@pytest.mark.parametrize("most", [20, 100])
def test_of_more_candidates_the_best_are_compared(most):
    config = config_of(max_num_detections=most)
    maps = maps_of(*draw(0, 1.0))
    expected = garden(maps, config)
    found = phone(maps, config, candidates=64)
    count = len(found[0])
    assert count == 20 or 20 < count < min(most, 64)
    assert_same(found, [values[:count] for values in expected])


def test_there_may_be_more_candidates_than_places():
    """Each place may be several objects, of different classes."""
    config = config_of(max_num_detections=500)
    maps = maps_of(*draw(0, -2.5))
    expected = garden(maps, config)
    scores = [tf.sigmoid(values).numpy() for values in maps[0].values()]
    of_classes = [values.reshape(-1, CLASSES + 1)[:, 1:] for values in scores]
    assert sum((values > 0.05).sum() for values in of_classes) > COUNT
    assert len(expected[0]) < 500
    assert_same(phone(maps, config), expected)


@pytest.mark.parametrize(
    ("generator", "is_covered"),
    [
        ({"nms_version": "v2"}, True),
        ({"nms_version": "batched"}, True),
        ({"nms_version": "v1", "soft_nms_sigma": 0.5}, False),
        ({"nms_version": "v2", "use_class_agnostic_nms": True}, False),
    ],
)
def test_what_is_covered(generator, is_covered):
    assert mobile.is_covered(config_of(**generator)) is is_covered


def test_regions_are_not_covered():
    assert not mobile.is_covered(hrnet_fasterrcnn_coco().task)


@pytest.fixture(scope="module")
def retinanet():
    """(task, model, module, metadata) of a small network with random weights."""
    toy = {**TOY_DETECTOR, "head": {"num_convs": 1, "num_filters": 8}}
    toy |= {"input_size": [SIZE, SIZE, 3], "anchor": {"num_scales": 1}}
    toy |= {"min_level": 3, "max_level": 4}
    toy["detection_generator"] = {"max_num_detections": 12}
    overrides = [json.dumps({"task": {"model": toy}})]
    params = parse_config("hrnet_retinanet_coco", [], overrides)
    task = task_factory.get_task(params.task)
    model = task.build_model()
    draw_detector_weights(model)
    metadata = DetectionMetadata.of_task(params.task, {1: "person", 4: "bar"})
    return task, model, DetectionModule(task, model, metadata), metadata


@pytest.fixture(scope="module")
def canvases():
    return np.random.default_rng(1).integers(0, 256, (8, SIZE, SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def content(retinanet):
    _, _, module, metadata = retinanet
    return tflite.convert(module, metadata)


def test_files_find_what_evaluations_find(retinanet, content, canvases, tmp_path):
    task, model, _, metadata = retinanet
    info = tf.constant([[[SIZE, SIZE], [SIZE, SIZE], [1, 1], [0, 0]]], tf.float32)
    path = tmp_path / "detector.tflite"
    path.write_bytes(content)
    predictor = load_predictor(str(path))
    interface = predictor._model.interface["serving_default"]
    assert interface == metadata.tflite_interface()
    for canvas in canvases[:3]:
        expected = task.detect(model, normalize(canvas[np.newaxis]), info)
        count = int(expected["num_detections"][0])
        assert count == 12
        found = predictor.predict(canvas)
        assert_same(
            (found.boxes, found.classes, found.scores),
            [expected[key].numpy()[0] for key in ("boxes", "classes", "scores")],
        )


def test_nothing_in_a_file_loops(content):
    operators = tflite_operators.of_content(content)
    assert operators.not_on_gpu == {} and operators.custom == ()
    kinds = set(operators.kinds)
    assert {"TOPK_V2", "BATCH_MATMUL"} <= kinds
    assert not kinds & {"WHILE", "IF", "GATHER_ND", "WHERE"}
    assert not any("NON_MAX" in kind for kind in kinds)


# How many there are, boxes, classes and scores: the converter's order.
TYPES = ("int32", "float32", "int32", "float32")


def test_the_gpu_takes_the_whole_graph(content, run_on_gpu):
    answer = run_on_gpu(content, SIZE, SIZE, *TYPES)
    assert answer["accelerated"] is True
    count, boxes, classes, scores = answer["differences"]
    assert count == classes == 0 and boxes < 1e-2 and scores < 1e-4


@pytest.mark.slow  # Each is a file to convert and a process to run it in.
@pytest.mark.parametrize("quantize", ["float16", "dynamic", "int8"])
def test_smaller_files_are_for_gpus_too(quantize, retinanet, canvases, run_on_gpu):
    _, _, module, metadata = retinanet
    content = tflite.convert(module, metadata, quantize, calibration_images=canvases)
    operators = tflite_operators.of_content(content)
    assert operators.not_on_gpu == {} and operators.custom == ()
    assert bool(operators.in_8_bits) is (quantize != "float16")
    if quantize != "dynamic":
        assert run_on_gpu(content, SIZE, SIZE, *TYPES)["accelerated"] is True
