"""An exported detector names its classes, wherever the names are to be had."""

import logging
from types import SimpleNamespace

import pytest
import tensorflow as tf
from official.core import task_factory

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.serving.detection.exporter import DetectionExporter
from hrnet_tf.serving.exporter import Options
from hrnet_tf.training.experiment import ConfigError, parse_config
from hrnet_tf.training.run_file import RunFile

RETINANET = "hrnet_retinanet_coco"
NAMES = {1: "person", 2: "disc", 3: "box", 4: "bar"}
NO_ANNOTATIONS = "task.annotation_file=/no/instances.json"
NO_RECORDS = "task.train_data.input_path=/no/records-*"


@pytest.fixture
def categories(detection_data, caplog):
    caplog.set_level(logging.INFO, "hrnet_tf")

    def of_exporter(run: RunFile | None, *changes: str):
        file = str(detection_data / "detection.yaml")
        params = parse_config("hrnet_maskrcnn_coco", [file], changes)
        task = task_factory.get_task(params.task)
        return DetectionExporter(task, Options(), run=run).metadata.categories

    return of_exporter


def test_the_run_names_the_classes(categories, caplog):
    run = RunFile("hrnet_maskrcnn_coco", {1: "somebody", 4: "something"})
    assert categories(run, NO_ANNOTATIONS, NO_RECORDS) == run.categories
    assert categories(run) == run.categories
    assert not caplog.messages


@pytest.mark.parametrize("run", [None, RunFile("hrnet_maskrcnn_coco")])
def test_without_a_run_annotations_or_records_do(categories, caplog, run):
    assert categories(run, NO_RECORDS) == NAMES
    assert categories(run, NO_ANNOTATIONS) == NAMES
    assert not caplog.messages


def test_numbers_are_the_last_resort_and_the_log_says_so(categories, caplog):
    numbers = {1: "1", 2: "2", 3: "3", 4: "4"}
    assert categories(None, NO_ANNOTATIONS, NO_RECORDS) == numbers
    (sentence,) = caplog.messages
    assert "named by their numbers" in sentence and "annotation_file" in sentence


@pytest.mark.parametrize(
    ("experiment", "change"),
    [
        ("hrnet_fasterrcnn_coco", ""),
        (RETINANET, "task.model.detection_generator.use_class_agnostic_nms=true"),
    ],
)
def test_candidates_are_refused_where_boxes_are_suppressed_in_loops(experiment, change):
    config = parse_config(experiment, [], [change] if change else []).task
    DetectionExporter.configure(config, Options())
    with pytest.raises(ConfigError, match="--candidates goes with RetinaNet"):
        DetectionExporter.configure(config, Options(candidates=64))
    DetectionExporter.configure(parse_config(RETINANET).task, Options(candidates=64))


def test_candidates_reach_the_file(monkeypatch):
    """A module compares as many as were asked for, and 1024 otherwise."""
    task = SimpleNamespace(task_config=parse_config(RETINANET).task)
    exporter = DetectionExporter.__new__(DetectionExporter)
    exporter.task, exporter.metadata = task, SimpleNamespace(has_masks=False)
    for given, expected in ((Options(), 1024), (Options(candidates=64), 64)):
        exporter.given = given
        assert exporter.module(tf.Module())._candidates == expected
