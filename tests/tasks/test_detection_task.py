"""The detection tasks around the Garden's models."""

import copy
import functools

import numpy as np
import pytest
import tensorflow as tf
import yaml
from official.core import task_factory

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.configs.backbones import HRNet as HRNetConfig
from hrnet_tf.data.inputs.batching import PADDING_ID
from hrnet_tf.tasks.detection import DetectionTask
from hrnet_tf.training.experiment import parse_config
from tests.conftest import TOY_DETECTOR, TOY_RCNN

EXPERIMENTS = {
    "hrnet_fasterrcnn_coco": TOY_RCNN,
    "hrnet_cascadercnn_coco": TOY_RCNN,
    "hrnet_retinanet_coco": {
        **TOY_DETECTOR,
        "head": {"num_convs": 1, "num_filters": 8},
        "detection_generator": {"max_num_detections": 12},
    },
}


@pytest.fixture
def parse(detection_data):
    """Returns the configuration of an experiment on tiny data."""

    def parse(experiment, *overrides):
        content = yaml.safe_load((detection_data / "detection.yaml").read_text())
        if experiment in EXPERIMENTS:
            content["task"]["model"] = copy.deepcopy(EXPERIMENTS[experiment])
        return parse_config(experiment, [], [yaml.safe_dump(content), *overrides])

    return parse


def build(params, tmp_path):
    task = task_factory.get_task(params.task, logging_dir=str(tmp_path))
    assert isinstance(task, DetectionTask)
    return task, task.build_model()


def weights(layer):
    return np.concatenate([np.ravel(v.numpy()) for v in layer.trainable_variables])


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("experiment", "is_traced"),
    [
        # Tracing takes longer than the steps.
        ("hrnet_retinanet_coco", False),
        # Mask R-CNN is trained by a command in tests/test_detection_commands.py.
        *(
            pytest.param(experiment, True, marks=pytest.mark.slow)
            for experiment in EXPERIMENTS
        ),
    ],
)
def test_detectors_train_and_evaluate(experiment, is_traced, parse, tmp_path):
    as_graph = tf.function if is_traced else lambda function: function
    params = parse(experiment)
    task, model = build(params, tmp_path)
    optimizer = task.create_optimizer(params.trainer.optimizer_config, params.runtime)
    metrics = task.build_metrics(training=True)
    inputs = next(iter(task.build_inputs(params.task.train_data)))
    parts = {
        "backbone": model.backbone,
        "decoder": model.decoder,
        "head": model.head if "retinanet" in experiment else model.rpn_head,
    }
    before = {name: weights(part) for name, part in parts.items()}
    step = as_graph(
        functools.partial(
            task.train_step, model=model, optimizer=optimizer, metrics=metrics
        )
    )
    loss = step(inputs)[task.loss]
    assert np.isfinite(loss) and loss > 0
    for name, part in parts.items():
        assert not np.array_equal(before[name], weights(part)), name

    assert task.build_metrics(training=False) == []
    validate = as_graph(functools.partial(task.validation_step, model=model))
    state = None
    for inputs in task.build_inputs(params.task.validation_data):
        outputs = {name: (value,) for name, value in validate(inputs).items()}
        state = task.aggregate_logs(state, outputs)
    logs = task.reduce_aggregated_logs(state)
    assert 0 <= logs["AP"] <= 1 and "AP/person" in logs and "mask_AP" not in logs
    assert (tmp_path / "results.json").exists()
    assert (tmp_path / "predictions.png").exists()
    report = task.report()
    assert report.facts == {
        "annotation_file": params.task.annotation_file,
        "canvas": "128x128",
    }
    assert report.categories == {1: "person", 2: "disc", 3: "box", 4: "bar"}
    assert report.data == params.task.annotation_file
    assert report.format_table(logs).startswith("COCO boxes, canvas: 128x128\n")


def test_evaluations_end_with_full_batches(parse, tmp_path):
    params = parse("hrnet_fasterrcnn_coco")
    task = task_factory.get_task(params.task, logging_dir=str(tmp_path))
    batches = list(task.build_inputs(params.task.validation_data))
    assert [images.shape[0] for images, _ in batches] == [3, 3]
    ids = np.concatenate([labels["groundtruths"]["source_id"] for _, labels in batches])
    assert sorted(ids.tolist()) == [PADDING_ID] * 2 + [1, 2, 3, 4]
    # Two replicas: as many batches for one as for the other.
    context = tf.distribute.InputContext(num_replicas_in_sync=2)
    data = params.task.validation_data.replace(global_batch_size=6)
    assert len(list(task.build_inputs(data, context))) == 2


def test_a_choice_of_categories_is_reported_and_keeps_the_names(parse, tmp_path):
    params = parse("hrnet_retinanet_coco")
    everything = task_factory.get_task(params.task, logging_dir=str(tmp_path)).report()
    assert "category_ids" not in everything.facts
    chosen = min(everything.categories)
    params.task.evaluation.category_id = chosen
    report = task_factory.get_task(params.task, logging_dir=str(tmp_path)).report()
    assert report.facts["category_ids"] == [chosen]
    assert report.categories == everything.categories and len(report.categories) > 1


def test_records_of_people_are_refused(parse, toy_data, tmp_path):
    from hrnet_tf.data.records.shards import RecordError

    params = parse("hrnet_fasterrcnn_coco")
    task = task_factory.get_task(params.task, logging_dir=str(tmp_path))
    data = params.task.train_data.replace(input_path=f"{toy_data}/records/train-*")
    with pytest.raises(RecordError, match="coco_instances"):
        task.build_inputs(data)


def test_frozen_statistics_stay_and_scales_are_trained():
    from hrnet_tf.modeling.blocks import ConvNorm, ConvSettings

    images = tf.random.stateless_normal([4, 8, 8, 3], seed=[0, 1]) * 3 + 1
    for frozen in (True, False):
        layer = ConvNorm(2, 3, settings=ConvSettings(freeze_norm_statistics=frozen))
        layer(images)
        layer.norm.moving_mean.assign([0.5, -0.5])
        expected = layer(images, training=False)
        with tf.GradientTape() as tape:
            outputs = layer(images, training=True)
            loss = tf.reduce_sum(outputs**2)
        gradients = tape.gradient(loss, [layer.norm.gamma, layer.norm.beta])
        assert all(np.abs(gradient).max() > 0 for gradient in gradients)
        kept = layer.norm.moving_mean.numpy().tolist() == [0.5, -0.5]
        assert kept == frozen
        assert np.allclose(outputs, expected, atol=1e-6) == frozen


def test_the_backbone_of_the_recipes_is_frozen(parse):
    for experiment in ("hrnet_maskrcnn_coco", *EXPERIMENTS):
        params = parse_config(experiment)
        backbone = params.task.model.backbone.hrnet
        assert isinstance(backbone, HRNetConfig) and backbone.freeze_norm_statistics
        assert params.trainer.optimizer_config.optimizer.sgd.global_clipnorm == 35
        warmup = params.trainer.optimizer_config.warmup.linear
        rates = params.trainer.optimizer_config.learning_rate.stepwise
        assert warmup.warmup_steps == 500
        assert warmup.warmup_learning_rate == pytest.approx(rates.values[0] / 3)
        assert rates.values[1] == pytest.approx(rates.values[0] / 10)
