"""The Garden's experiments and launcher train HRNet from the YAML of docs/garden.md."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
import yaml
from official.core import exp_factory
from official.vision.dataloaders import tfexample_utils

import hrnet_tf
from hrnet_tf.configs import stock
from tests.conftest import TOY_BACKBONE, TOY_MASK_RCNN

TEXT = (Path(__file__).parents[1] / "docs/garden.md").read_text()
BLOCKS = dict(re.findall(r"^## (\w+)\n\n```yaml\n(.*?)^```$", TEXT, re.DOTALL | re.M))
LAUNCHER = re.search(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.M).group(1)

# What makes the documented networks small enough for a test.
SMALL = {
    "image_classification_with_hrnet": {"num_classes": 3, "input_size": [64, 64, 3]},
    "semantic_segmentation_with_hrnet": {"num_classes": 3, "input_size": [64, 64, 3]},
    "retinanet_resnetfpn_coco_with_hrnet": {
        "num_classes": 3,
        "input_size": [128, 128, 3],
        "decoder": {"hrnetv2p": {"num_filters": 8}},
        "head": {"num_convs": 1, "num_filters": 8},
    },
    "maskrcnn_resnetfpn_coco_with_hrnet": TOY_MASK_RCNN,
}


def test_every_documented_experiment_is_tried():
    assert set(BLOCKS) == set(SMALL)
    for name in stock.STOCK:
        assert name in TEXT


@pytest.mark.parametrize("name", stock.STOCK)
def test_a_twin_differs_from_the_gardens_experiment_in_its_choices_alone(name):
    hrnet_tf.register()
    ours = exp_factory.get_exp_config(f"{name}_with_hrnet")
    assert ours.as_dict() == exp_factory.get_exp_config(name).as_dict()
    choice = {"type": "hrnet", "hrnet": {"model_id": "w32"}}
    ours.override({"task": {"model": {"backbone": choice}}}, is_strict=True)
    assert ours.task.model.backbone.get().model_id == "w32"


def example(name: str) -> tf.train.Example:
    if "classification" in name:
        return tfexample_utils.create_classification_example(64, 64)
    if "segmentation" in name:
        return tfexample_utils.create_segmentation_test_example(64, 64, 3)
    return tfexample_utils.create_detection_test_example(128, 128, 3, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_the_gardens_launcher_trains_a_step(name, tmp_path):
    content = yaml.safe_load(BLOCKS[name])
    model = content["task"]["model"]
    for key, value in SMALL[name].items():
        old = model.get(key)
        is_section = isinstance(old, dict) and isinstance(value, dict)
        model[key] = {**old, **value} if is_section else value
    custom = copy.deepcopy(TOY_BACKBONE["hrnet"])
    model["backbone"]["hrnet"] |= {
        key: custom[key] for key in ("model_id", "custom", "kernel_initializer")
    }
    records = tmp_path / "records"
    with tf.io.TFRecordWriter(str(records)) as writer:
        for _ in range(2):
            made = example(name)
            writer.write(made if isinstance(made, bytes) else made.SerializeToString())
    data = {"input_path": str(records), "global_batch_size": 2}
    if "train_data" in content["task"]:
        data["output_size"] = [64, 64]
    content["task"] |= {"train_data": data, "init_checkpoint": None}
    if "annotation_file" in exp_factory.get_exp_config(name).task.as_dict():
        content["task"]["annotation_file"] = None
    content["trainer"] = {
        "train_steps": 1,
        "steps_per_loop": 1,
        "summary_interval": 1,
        "checkpoint_interval": 1,
        "optimizer_config": {
            "optimizer": {"type": "sgd"},
            "learning_rate": {
                "type": "constant",
                "constant": {"learning_rate": 0.001},
            },
        },
    }
    content["runtime"] = {
        "distribution_strategy": "one_device",
        "num_gpus": 0,
        "mixed_precision_dtype": "float32",
    }
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(content))
    command = [sys.executable, "-c", LAUNCHER, f"--experiment={name}", "--mode=train"]
    folder = tmp_path / "run"
    command += [f"--config_file={tmp_path}/experiment.yaml", f"--model_dir={folder}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (
        tf.train.load_checkpoint(str(folder)).get_tensor(
            "global_step/.ATTRIBUTES/VARIABLE_VALUE"
        )
        == 1
    )
