"""The pose task wires model, data, loss and evaluation as the trainer calls them."""

import copy
import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.core import task_factory

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.configs import backbones, pose
from hrnet_tf.data.converters import coco_pose
from hrnet_tf.data.inputs.batching import PADDING_ID
from hrnet_tf.data.inputs.normalization import normalize_image
from hrnet_tf.data.inputs.pose import render_targets
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.evaluation.coco_files import AnnotationFileError
from hrnet_tf.evaluation.coco_keypoints import METRICS
from hrnet_tf.modeling import pose_model
from hrnet_tf.modeling.blocks import ConvNorm, ConvSettings
from hrnet_tf.modeling.heads import HeatmapHead
from hrnet_tf.modeling.representations import HRNetV1
from hrnet_tf.ops import heatmaps
from hrnet_tf.training import checkpoints
from hrnet_tf.training.experiment import ConfigError

COCO = load_skeleton("coco17")
INPUT_SIZE = [128, 96]

# A standing figure in the unit square: nose, eyes, ears, shoulders, elbows, wrists,
# hips, knees, ankles; its left is on the viewer's right.
FIGURE = np.array(
    [
        *([0.5, 0.1], [0.6, 0.05], [0.4, 0.05], [0.7, 0.08], [0.3, 0.08]),
        *([0.75, 0.25], [0.25, 0.25], [0.85, 0.4], [0.15, 0.4]),
        *([0.95, 0.55], [0.05, 0.55], [0.65, 0.55], [0.35, 0.55]),
        *([0.7, 0.75], [0.3, 0.75], [0.7, 0.95], [0.3, 0.95]),
    ]
)
# x, y, width, height of the people of three images.
PEOPLE = {
    11: [[20.0, 30.0, 90.0, 180.0], [150.0, 25.0, 100.0, 200.0]],
    12: [[60.0, 10.0, 120.0, 230.0]],
    13: [[5.0, 5.0, 110.0, 220.0], [130.0, 20.0, 100.0, 210.0]],
}


def _keypoints(box) -> np.ndarray:
    return FIGURE * box[2:] + box[:2]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> pathlib.Path:
    """A folder with images, people.json and the records made of them."""
    folder = tmp_path_factory.mktemp("dataset")
    images, annotations = [], []
    for image_id, boxes in PEOPLE.items():
        image = np.full((256, 288, 3), 60, np.uint8)
        for box in boxes:
            for x, y in _keypoints(box):
                cv2.circle(image, (int(x), int(y)), 4, (200, 220, 240), -1)
            labelled = np.insert(_keypoints(box), 2, 2, axis=-1)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "bbox": box,
                    "area": box[2] * box[3] / 2,
                    "iscrowd": 0,
                    "num_keypoints": 17,
                    "keypoints": labelled.ravel().tolist(),
                }
            )
        name = f"{image_id}.png"
        cv2.imwrite(str(folder / name), image)
        images.append({"id": image_id, "file_name": name, "width": 288, "height": 256})
    category = {"id": 1, "name": "person", "keypoints": list(COCO.keypoints)}
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [category],
    }
    (folder / "people.json").write_text(json.dumps(content))
    coco_pose.convert(
        str(folder), str(folder / "people.json"), str(folder / "records"), COCO
    )
    return folder


def _config(dataset: pathlib.Path | None = None, **changes) -> pose.PoseTask:
    """A task with a network as small as they come."""
    spec = backbones.HRNetSpec(
        width=4,
        modules=[1, 1, 1],
        blocks=1,
        layer1_blocks=1,
        layer1_planes=8,
        stem_width=8,
    )
    model = pose.PoseModel(
        input_size=list(INPUT_SIZE),
        backbone=backbones.Backbone(
            type="hrnet",
            hrnet=backbones.HRNet(
                model_id="custom",
                custom=spec,
                multi_scale_output=False,
                kernel_initializer="kaiming",
            ),
        ),
    )
    config = pose.PoseTask(model=model)
    config.validation_data.global_batch_size = 3
    if dataset:
        config.validation_data.input_path = str(dataset / "records-*")
        config.evaluation.annotation_file = str(dataset / "people.json")
    config.override(changes)
    return config


def _task(config: pose.PoseTask, logging_dir=None):
    return task_factory.get_task(config, logging_dir=logging_dir and str(logging_dir))


# ---- the model ----


def test_head_has_a_heatmap_per_keypoint(tmp_path):
    skeleton = tmp_path / "mug.yaml"
    skeleton.write_text("name: mug\nkeypoints: [rim, base, handle]\n")
    for name, num_keypoints in (("coco17", 17), (str(skeleton), 3)):
        model = _task(_config(skeleton=name)).build_model()
        assert model.output_shape == (None, 32, 24, num_keypoints)


def test_weight_decay_has_the_gradient_of_torch():
    """Torch adds weight_decay * w to the gradient of every kernel."""
    model = _task(_config(weight_decay=0.1)).build_model()
    kernels = [v for v in model.trainable_variables if "kernel" in v.name]
    others = [v for v in model.trainable_variables if "kernel" not in v.name]
    with tf.GradientTape() as tape:
        loss = tf.add_n(model.losses)
    gradients = tape.gradient(loss, kernels + others)
    for kernel, gradient in zip(kernels, gradients, strict=False):
        np.testing.assert_allclose(gradient, 0.1 * kernel, rtol=1e-4, atol=1e-7)
    assert gradients[len(kernels) :] == [None] * len(others)


@pytest.fixture(scope="module")
def network() -> tuple[tf_keras.Model, list[np.ndarray]]:
    """A model, and the weights that it was built with."""
    model = _task(_config()).build_model()
    return model, model.get_weights()


@pytest.fixture
def model(network) -> tf_keras.Model:
    """A model as it was built."""
    model, weights = network
    model.set_weights(weights)
    return model


def test_no_weight_decay_unless_asked(model):
    assert not model.losses


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[tf_keras.Model, str]:
    """A model with weights of its own, and its checkpoint as the trainer writes it."""
    model = _task(_config()).build_model()
    for variable in model.variables:
        variable.assign_add(0.01 * tf.ones_like(variable))
    checkpoint = tf.train.Checkpoint(
        model=model, global_step=tf.Variable(5), **model.checkpoint_items
    )
    folder = tmp_path_factory.mktemp("checkpoint")
    return model, checkpoint.save(str(folder / "ckpt"))


def _same(first: tf_keras.layers.Layer, second: tf_keras.layers.Layer) -> bool:
    pairs = zip(first.weights, second.weights, strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("modules", ["all", "backbone"])
def test_initialize_loads_what_is_asked(modules, trained, network):
    source, path = trained
    model, weights = network
    # From the checkpoint itself, or the latest one of a directory.
    for init_checkpoint in (path, str(pathlib.Path(path).parent)):
        model.set_weights(weights)
        assert not _same(model.backbone, source.backbone)
        config = _config(
            init_checkpoint=init_checkpoint, init_checkpoint_modules=modules
        )
        checkpoints.load_initial(model, config)
        assert _same(model.backbone, source.backbone)
        assert _same(model.head, source.head) == (modules == "all")


def test_backbone_of_another_dataset_starts_a_new_head(trained, tmp_path):
    source, path = trained
    skeleton = tmp_path / "mug.yaml"
    skeleton.write_text("name: mug\nkeypoints: [rim, base, handle]\n")
    changes = {"skeleton": str(skeleton), "init_checkpoint": path}
    task = _task(_config(init_checkpoint_modules="backbone", **changes))
    model = task.build_model()
    checkpoints.load_initial(model, task.task_config)
    assert _same(model.backbone, source.backbone)
    whole = _config(init_checkpoint_modules="all", **changes)
    with pytest.raises(ConfigError, match="with 17 keypoints, .* with 3 keypoints"):
        checkpoints.load_initial(model, whole)


def test_initialize_refuses_a_checkpoint_without_a_whole_backbone(model, tmp_path):
    path = tf.train.Checkpoint(backbone=tf.Module(), step=tf.Variable(1)).save(
        str(tmp_path / "ckpt")
    )
    config = _config(init_checkpoint=path, init_checkpoint_modules="backbone")
    with pytest.raises(ConfigError, match="only 0 of .* variables of backbone"):
        checkpoints.load_initial(model, config)


def test_initialize_without_a_checkpoint_does_nothing(model):
    for modules in ("all", "backbone"):
        before = copy.deepcopy(model.get_weights())
        checkpoints.load_initial(model, _config(init_checkpoint_modules=modules))
        for old, new in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


# ---- the loss ----


def _labels(image_ids, maps) -> dict[str, tf.Tensor]:
    return {
        "heatmaps": tf.constant(maps, tf.float32),
        "weights": tf.ones([len(image_ids), maps.shape[-1]]),
        "image_id": tf.constant(image_ids, tf.int64),
    }


def test_padding_rows_do_not_count():
    targets = np.random.default_rng(0).random((4, 8, 6, 17))
    predicted = targets + np.array([1.0, 3.0, 7.0, 9.0])[:, None, None, None]
    task = _task(_config())
    padding = PADDING_ID
    loss = task.build_losses(_labels([5, 6, padding, padding], targets), predicted)
    # Half the squared error: 0.5 and 4.5.
    assert float(loss) == pytest.approx(2.5, rel=1e-5)
    only_padding = task.build_losses(_labels([padding] * 4, targets), predicted)
    assert float(only_padding) == 0.0


def test_loss_is_the_configured_one():
    targets = np.zeros((2, 8, 6, 17))
    predicted = np.broadcast_to(np.sqrt(2 * np.arange(17.0)), targets.shape)
    config = _config()
    config.loss = pose.Loss(name="ohkm", top_k=2)
    loss = _task(config).build_losses(_labels([5, 6], targets), predicted)
    # Half the squared error of keypoint k is k.
    assert float(loss) == pytest.approx((15 + 16) / 2, rel=1e-5)
    config.loss = pose.Loss(keypoint_weights=[0.0] * 16 + [2.0])
    loss = _task(config).build_losses(_labels([5, 6], targets), predicted)
    assert float(loss) == pytest.approx(4 * 16 / 17, rel=1e-5)


def test_loss_adds_regularisation():
    targets = np.zeros((1, 8, 6, 17))
    loss = _task(_config()).build_losses(
        _labels([1], targets), targets, [tf.constant(0.25), tf.constant(0.5)]
    )
    assert float(loss) == pytest.approx(0.75)


# ---- evaluation ----


class PerfectModel:
    """Answers the target heatmaps of a batch, and those of the mirrored batch."""

    losses: list[tf.Tensor] = []

    def __init__(self, codec: str, images: tf.Tensor, labels: dict[str, tf.Tensor]):
        self._images = normalize_image(images).numpy()
        labels = render_targets(labels, pose.Codec(name=codec), INPUT_SIZE)
        self._heatmaps = labels["heatmaps"]
        keypoints, _ = heatmaps.decode(codec, self._heatmaps, refine=codec != "msra")
        last_column = INPUT_SIZE[1] - 1
        permutation = list(COCO.flip_permutation)
        self._mirrored_heatmaps, _ = heatmaps.encode(
            codec,
            tf.gather(
                keypoints * [-1.0, 1.0] + [last_column, 0.0], permutation, axis=1
            ),
            tf.gather(labels["weights"], permutation, axis=1),
            tuple(INPUT_SIZE),
            sigma=2.0,
        )

    def __call__(self, images: tf.Tensor, training: bool) -> tf.Tensor:
        assert not training
        if np.array_equal(images, self._images):
            return self._heatmaps
        np.testing.assert_array_equal(images, self._images[:, :, ::-1])
        return self._mirrored_heatmaps


# The batches of what was read before: a pipeline takes longer to trace than to run.
_read: dict[tuple[str, str, str], list] = {}


def _batches(task, codec: str) -> list:
    data = task.task_config.validation_data
    key = (codec, data.input_path, data.detections_file)
    if key not in _read:
        _read[key] = list(task.build_inputs(data))
    return _read[key]


def _step_logs(task, codec="msra") -> list[dict[str, tf.Tensor]]:
    return [
        task.validation_step((images, labels), PerfectModel(codec, images, labels))
        for images, labels in _batches(task, codec)
    ]


def _evaluate(task, step_logs: list[dict], step=1) -> dict:
    """As the trainer does: every value a tuple of the replicas' tensors."""
    state = None
    for logs in step_logs:
        replicas = logs if isinstance(logs, list) else [logs]
        state = task.aggregate_logs(
            state, {name: tuple(r[name] for r in replicas) for name in replicas[0]}
        )
    return task.reduce_aggregated_logs(state, global_step=step)


@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("codec", ["msra", "dark", "udp"])
def test_perfect_heatmaps_are_a_perfect_evaluation(codec, flip_test, dataset, tmp_path):
    config = _config(
        dataset,
        codec={"name": codec},
        evaluation={"flip_test": flip_test, "num_pictures": 2},
    )
    task = _task(config, tmp_path)
    step_logs = _step_logs(task, codec)
    for logs in step_logs:
        for image_id, found in zip(logs["image_id"], logs["keypoints"], strict=True):
            if image_id < 0:
                continue
            # In original pixels: up to 2.4 to one of the crop. The target of msra is
            # off by half a heatmap pixel, a flip test of dark by an eighth.
            tolerance = {"msra": 5.0, "dark": 1.5 if flip_test else 0.3, "udp": 0.3}
            error = min(
                np.abs(found[:, :2] - _keypoints(box)).max()
                for box in PEOPLE[int(image_id)]
            )
            assert error < tolerance[codec]
            np.testing.assert_allclose(found[:, 2], 1.0, atol=0.15)
        assert float(logs["loss"]) == pytest.approx(0.0, abs=1e-4)
    metrics = _evaluate(task, step_logs)
    # Half a heatmap pixel is 10 points here: people are 20 heatmap pixels high.
    least = 0.85 if codec == "msra" else 0.99
    assert metrics["keypoint_AP"] > least
    assert metrics["keypoint_AR"] > least


def test_flip_test_of_msra_changes_nothing_in_perfect_heatmaps(dataset):
    plain, flipped = (
        _step_logs(_task(_config(dataset, evaluation={"flip_test": flip_test})))
        for flip_test in (False, True)
    )
    for one, other in zip(plain, flipped, strict=True):
        np.testing.assert_allclose(one["keypoints"], other["keypoints"], atol=1e-3)


def test_evaluation_writes_results_and_pictures(dataset, tmp_path):
    task = _task(_config(dataset, evaluation={"num_pictures": 2}), tmp_path)
    logs = _evaluate(task, _step_logs(task))
    results = json.loads((tmp_path / "results.json").read_text())
    assert sorted(result["image_id"] for result in results) == [11, 11, 12, 13, 13]
    assert {"category_id", "keypoints", "score"} <= results[0].keys()
    sheet = cv2.imread(str(tmp_path / "predictions.png"))[..., ::-1]
    assert sheet.shape[0] >= 360 and sheet.std() > 0
    np.testing.assert_array_equal(logs["image/predictions"][0], sheet)
    assert logs["image/heatmaps"].dtype == np.uint8 and logs["image/heatmaps"].ndim == 4
    assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name] == []


def test_evaluation_without_pictures(dataset, tmp_path):
    config = _config(dataset, evaluation={"num_pictures": 0}, allow_image_summary=False)
    logs = _evaluate(task := _task(config, tmp_path), _step_logs(task))
    assert not [name for name in logs if name.startswith("image/")]
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("asked", "is_all_that_is_done", "is_explained"),
    [
        (None, True, True),
        (None, False, False),
        (True, False, True),
        (False, True, False),
    ],
)
def test_evaluation_is_explained_where_it_is_asked_for(
    asked, is_all_that_is_done, is_explained, dataset, tmp_path
):
    config = _config(dataset, evaluation={"num_pictures": 0, "report": asked})
    task = _task(config, tmp_path)
    task.explains_by_default = is_all_that_is_done
    logs = _evaluate(task, _step_logs(task))
    assert (tmp_path / "report.html").exists() == is_explained
    text = task.report().explain()
    if not is_explained:
        assert text == ""
        return
    assert text.splitlines()[-1].endswith(f": {tmp_path / 'report.html'}")
    numbers = json.loads((tmp_path / "report.json").read_text())
    found = numbers["errors"]["miss"]
    assert found["AP without"] - found["change"] == pytest.approx(logs["keypoint_AP"])
    # Half a heatmap pixel off, as the codec msra is.
    assert numbers["errors"]["jitter"]["number"] > 0
    assert 'src="data:' in (tmp_path / "report.html").read_text()


def test_an_explanation_is_of_the_latest_evaluation(dataset, tmp_path):
    config = _config(dataset, evaluation={"num_pictures": 0, "report": True})
    task = _task(config, tmp_path)
    first, second = _step_logs(task)
    explain = task.report().explain
    assert explain() == ""
    _evaluate(task, [first, second])
    whole = explain()
    _evaluate(task, [second])
    assert "false negative" in explain() and explain() != whole


def test_the_step_of_several_replicas_is_told(two_cpus, dataset, tmp_path):
    """The trainer hands over its variable, which is one on each."""
    config = _config(dataset, evaluation={"num_pictures": 0, "report": True})
    task = _task(config, tmp_path)
    with tf.distribute.MirroredStrategy(two_cpus).scope():
        step = tf.Variable(7, dtype=tf.int64)
    _evaluate(task, _step_logs(task), step)
    assert json.loads((tmp_path / "report.json").read_text())["step"] == 7


def test_replicas_are_scored_together(dataset, tmp_path):
    task = _task(_config(dataset), tmp_path)
    first, second = _step_logs(task)
    together = _evaluate(task, [first, second])
    results = (tmp_path / "results.json").read_text()
    as_replicas = _evaluate(task, [[first, second]])
    for name in ("keypoint_AP", "keypoint_AR", "keypoint_AP75"):
        assert as_replicas[name] == together[name]
    assert (tmp_path / "results.json").read_text() == results


@pytest.mark.parametrize(
    ("metric", "name", "best"),
    [
        # A target of msra is off by half a heatmap pixel, here 3 to 4 of the image.
        ("nme", "NME", 0.0),
        ("pck", "PCK@0.2", 1.0),
        ("pckh", "PCKh@0.5", 1.0),
    ],
)
def test_other_metrics_are_of_the_annotated_people(
    metric, name, best, dataset, tmp_path
):
    """Whichever replica has seen them."""
    chosen = {"metric": metric, "normalizer": ["left_shoulder", "right_hip"]}
    task = _task(_config(dataset, evaluation=chosen), tmp_path)
    if metric == "pckh":
        task.truth = _with_heads(task.truth)
    first, second = _step_logs(task)
    logs = _evaluate(task, [first, second])
    assert logs[name] == pytest.approx(best, abs=0.06)
    assert _evaluate(task, [[second, first]])[name] == logs[name]
    assert "image/predictions" in logs and (tmp_path / "results.json").exists()
    report = task.report()
    assert report.facts["metric"] == metric and "normalizer" in report.facts
    assert "5 " in report.format_table(logs).splitlines()[0]
    # Wrong places are found, too.
    first["keypoints"] += 40
    assert abs(_evaluate(task, [first, second])[name] - best) > 0.2


def _with_heads(truth):
    """The truth with heads of 30 pixels."""
    people = {
        image_id: [dataclasses.replace(person, normalizer=30.0) for person in some]
        for image_id, some in truth.content.people.items()
    }
    content = dataclasses.replace(truth.content, people=people)
    return dataclasses.replace(truth, content=content)


def test_evaluations_do_not_add_up(dataset, tmp_path):
    task = _task(_config(dataset), tmp_path)
    first, second = _step_logs(task)
    _evaluate(task, [first, second])
    _evaluate(task, [second])
    assert len(json.loads((tmp_path / "results.json").read_text())) == 2


def test_a_wrong_annotation_file_is_found_before_the_first_step(tmp_path):
    config = _config(evaluation={"annotation_file": str(tmp_path / "nothing.json")})
    _task(config).build_metrics(training=True)
    with pytest.raises(AnnotationFileError, match="nothing.json"):
        _task(config).build_metrics(training=False)


def test_report_names_boxes_and_annotations(dataset):
    report = _task(_config(dataset)).report()
    assert report.data == str(dataset / "people.json")
    assert report.facts == {
        "metric": "oks",
        "box_source": "ground truth",
        "flip_test": True,
        "codec": "msra",
        "annotation_file": str(dataset / "people.json"),
    }
    table = report.format_table(dict.fromkeys(METRICS, 0.5))
    title = "COCO keypoints, boxes: ground truth, flip test: on, codec: msra"
    assert table.splitlines()[0] == title


def test_report_names_the_flip_test_as_it_is(dataset):
    report = _task(_config(dataset, evaluation={"flip_test": False})).report()
    assert report.facts["flip_test"] is False
    assert "flip test: off" in report.format_table(dict.fromkeys(METRICS, 0.5))


def test_detected_boxes_are_named_and_have_no_loss(dataset, tmp_path):
    assert _task(_config(dataset)).box_source == "ground truth"
    detections = tmp_path / "boxes.json"
    detection = {"image_id": 12, "category_id": 1, "score": 0.5, "bbox": PEOPLE[12][0]}
    # The records are of category 1.
    other = {**detection, "category_id": 2}
    detections.write_text(json.dumps([detection, other]))
    config = _config(dataset, validation_data={"detections_file": str(detections)})
    task = _task(config, tmp_path)
    assert task.box_source == str(detections)
    (logs,) = _step_logs(task)
    assert "loss" not in logs
    assert logs["image_id"].numpy().tolist() == [12, -1, -1]
    assert logs["box_score"].numpy().tolist() == [0.5, 0.0, 0.0]


# ---- training ----


def _two_layer_model() -> pose_model.PoseModel:
    """A pose model that is traced in a second, with our layers' norm and decay."""
    settings = ConvSettings(
        kernel_initializer="kaiming",
        kernel_regularizer=tf_keras.regularizers.l2(0.01),
    )
    inputs = tf_keras.Input([64, 64, 3])
    features = ConvNorm(8, 3, strides=2, settings=settings)(inputs)
    features = ConvNorm(8, 3, strides=2, settings=settings)(features)
    backbone = tf_keras.Model(inputs, {"2": features})
    return pose_model.PoseModel(backbone, HRNetV1(), HeatmapHead(17))


def _hrnet() -> pose_model.PoseModel:
    config = _config(weight_decay=0.02)
    config.model.input_size = [64, 64]
    return _task(config).build_model()


def _train(strategy: tf.distribute.Strategy, build_model) -> list[float]:
    """Losses of three steps on fixed batches of 4, averaged over the replicas."""
    num_images = 12
    random = np.random.default_rng(0)
    # Of each batch of 4 images both replicas get the same two, with other labels: then
    # their batch statistics are those of the whole batch, without synchronising them.
    pairs = random.integers(0, 256, (num_images // 4, 2, 64, 64, 3)).astype(np.uint8)
    images = np.concatenate([pairs, pairs], axis=1).reshape(-1, 64, 64, 3)
    labels = {
        "keypoints": random.uniform(0, 64, (num_images, 17, 2)).astype(np.float32),
        "visible": random.integers(0, 3, (num_images, 17)).astype(np.float32),
        "image_id": np.arange(num_images),
    }
    examples = tf.data.Dataset.from_tensor_slices((images, labels))
    with strategy.scope():
        config = _config()
        config.model.input_size = [64, 64]
        task = _task(config)
        tf_keras.utils.set_random_seed(0)
        model = build_model()
        optimizer = tf_keras.optimizers.legacy.SGD(0.2, momentum=0.9)

    @tf.function
    def train_step(inputs):
        logs = strategy.run(
            lambda replica_inputs: task.train_step(replica_inputs, model, optimizer),
            args=(inputs,),
        )
        return strategy.reduce(tf.distribute.ReduceOp.MEAN, logs["loss"], axis=None)

    batches = strategy.experimental_distribute_dataset(
        examples.batch(4, drop_remainder=True)
    )
    return [float(train_step(inputs)) for inputs in batches]


@pytest.mark.heavy
@pytest.mark.parametrize(
    "build_model",
    [
        _two_layer_model,
        pytest.param(_hrnet, marks=pytest.mark.slow),  # Minutes of tracing.
    ],
)
def test_two_devices_train_as_one(build_model, two_cpus, request):
    # In a process of its own: collectives of CPU devices get mixed up with those that
    # other tests have left behind.
    if "HRNET_TF_OWN_PROCESS" not in os.environ:
        child = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", request.node.nodeid],
            cwd=request.config.rootpath,
            env={**os.environ, "HRNET_TF_OWN_PROCESS": "1"},
            capture_output=True,
            text=True,
        )
        assert child.returncode == 0, child.stdout[-2000:]
        assert "1 passed" in child.stdout
        return
    one = _train(tf.distribute.OneDeviceStrategy(two_cpus[0]), build_model)
    two = _train(tf.distribute.MirroredStrategy(two_cpus), build_model)
    assert len(one) == 3 and abs(one[0] - one[2]) > 0.01 * one[0]
    np.testing.assert_allclose(one, two, rtol=1e-4)


def test_training_normalises_images_and_renders_targets():
    config = _config()
    config.codec = pose.Codec(name="udp", sigma=3.0)
    random = np.random.default_rng(0)
    images = tf.constant(random.integers(0, 256, (2, *INPUT_SIZE, 3)), tf.uint8)
    labels = {
        "keypoints": tf.constant(random.uniform(0, 90, (2, 17, 2)), tf.float32),
        "visible": tf.constant(random.integers(0, 3, (2, 17)), tf.float32),
        "image_id": tf.constant([1, 2], tf.int64),
    }
    seen, prepared = _task(config).prepare((images, labels))
    np.testing.assert_array_equal(seen, normalize_image(images))
    targets, weights = heatmaps.encode(
        "udp", labels["keypoints"], labels["visible"], tuple(INPUT_SIZE), 3.0
    )
    np.testing.assert_array_equal(prepared["heatmaps"], targets)
    np.testing.assert_array_equal(prepared["weights"], weights)
    assert prepared["image_id"] is labels["image_id"]


def _random_batch() -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    random = np.random.default_rng(0)
    images = tf.constant(random.integers(0, 256, (2, *INPUT_SIZE, 3)), tf.uint8)
    labels = {
        "keypoints": tf.constant(random.uniform(0, 90, (2, 17, 2)), tf.float32),
        "visible": tf.ones([2, 17]),
        "image_id": tf.constant([1, 2], tf.int64),
    }
    return images, labels


def test_train_step_in_bfloat16():
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    task = _task(_config(weight_decay=0.01))
    model = task.build_model()
    logs = task.train_step(
        _random_batch(), model, tf_keras.optimizers.legacy.Adam(1e-3)
    )
    assert logs["loss"].dtype == tf.float32
    assert np.isfinite(logs["loss"])
