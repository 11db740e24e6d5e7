from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.data.records.segmentation import encode_image_record
from hrnet_tf.training.experiment import parse_config
from hrnet_tf.training.validation import detection, segmentation

CONFIG = Path(__file__).parents[2] / "configs/segmentation/custom.yaml"


@pytest.mark.parametrize(
    ("classes", "values", "missing"),
    [
        ("[sky, road, car]", [0, 1, 255], "car"),
        ("[sky, road, car]", [0, 1, 2], None),
        # The labels of cars are in the second file only.
        ("[sky, road, car, tree]", [[0, 1], [2, 255]], "tree"),
    ],
)
def test_classes_without_training_pixels_are_told_of(
    classes, values, missing, tmp_path, log
):
    (tmp_path / "classes.yaml").write_text(f"classes: {classes}")
    for number, some in enumerate(values if isinstance(values[0], list) else [values]):
        labels = np.tile(np.array(some, np.uint8), (4, 1))
        encoded = cv2.imencode(".png", np.dstack([labels] * 3))[1].tobytes()
        record = encode_image_record(encoded, "a.png", labels, classes.count(",") + 1)
        path = tmp_path / f"train-{number}"
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(record)
    overrides = [
        f"task.label_set={tmp_path}/classes.yaml",
        f"task.train_data.input_path={tmp_path}/train-*",
    ]
    params = parse_config("hrnet_seg_custom", [str(CONFIG)], overrides)
    assert list(segmentation.mistakes(params, trains=False, evaluates=False)) == []
    assert log() == ""
    assert list(segmentation.mistakes(params, trains=True, evaluates=False)) == []
    told = f"No pixel of task.train_data has the class {missing} of task.label_set"
    assert (told in log()) == (missing is not None)


@pytest.mark.parametrize(
    ("experiment", "overrides", "words"),
    [
        ("seg_custom", ["task.losses.top_k_percent_pixels=0.0002"], "4096 pixels"),
        ("seg_custom", ["task.losses.top_k_percent_pixels=0.0003"], ""),
        (
            "seg_custom",
            [
                "task.losses.top_k_percent_pixels=0.0003",
                "task.losses.use_groundtruth_dimension=false",
            ],
            "256 pixels",
        ),
        (
            "fasterrcnn_coco",
            ["task.losses.frcnn_class_loss_top_k_percent=0.001"],
            "512 sampled regions",
        ),
        ("fasterrcnn_coco", ["task.losses.frcnn_class_loss_top_k_percent=0.002"], ""),
    ],
)
def test_a_share_of_the_hardest_is_not_none(experiment, overrides, words):
    crop = "task.train_data.crop_size=[64, 64],task.label_set=synthetic_parts"
    sizes = [crop] if experiment == "seg_custom" else []
    params = parse_config(f"hrnet_{experiment}", [], [*sizes, *overrides])
    kind = segmentation if sizes else detection
    found = list(kind.mistakes(params, trains=False, evaluates=False))
    assert [m for m in found if "which is none of the" not in m] == []
    assert len(found) == bool(words)
    assert all(f"none of the {words} of an image" in mistake for mistake in found)


@pytest.mark.parametrize(
    ("size", "is_refused"), [("[]", False), ("[64, 96]", False), ("[64]", True)]
)
def test_sizes_that_images_are_filled_to_are_pairs(size, is_refused):
    overrides = [f"task.validation_data.padded_size={size}"]
    params = parse_config("hrnet_seg_custom", [str(CONFIG)], overrides)
    found = segmentation.mistakes(params, trains=False, evaluates=True)
    told = [m for m in found if "padded_size" in m]
    wanted = "task.validation_data.padded_size is [64]; it must be [height, width]"
    assert [m.startswith(wanted) for m in told] == [True] * is_refused
