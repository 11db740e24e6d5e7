"""Every configuration file in configs/ can be used, but for the data that it names."""

from pathlib import Path

import pytest

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.serving import kinds
from hrnet_tf.training.experiment import parse_config
from hrnet_tf.training.validation import validate

REPO = Path(__file__).resolve().parents[1]
EXPERIMENTS = {"pose": "hrnet_pose_coco", "classification": "hrnet_imagenet"}
SEGMENTATION = ("cityscapes", "pascal_context", "lip")
NO_CONFIGURATION = ("skeleton_example.yaml", "classes_example.yaml")
PRESETS = sorted(
    path
    for path in (REPO / "configs").rglob("*.yaml")
    if path.name not in NO_CONFIGURATION
)


def experiment_of(path: Path) -> str:
    if path.parent.name == "detection":
        return "hrnet_maskrcnn_coco"
    if path.parent.name != "segmentation":
        return EXPERIMENTS[path.parent.name]
    data_sets = [name for name in SEGMENTATION if path.name.startswith(name)]
    return f"hrnet_seg_{data_sets[0] if data_sets else 'custom'}"


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.name)
def test_preset_is_valid(path, monkeypatch):
    monkeypatch.chdir(REPO)
    here = "runtime.num_gpus=0,runtime.distribution_strategy=one_device"
    params = parse_config(experiment_of(path), [str(path)], here)
    # Published weights are not part of a clone.
    params.task.init_checkpoint = ""
    validate(params, None, kinds.kind_of(params.task).mistakes)


DETECTORS = ("fasterrcnn", "maskrcnn", "cascadercnn", "retinanet")


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("network", ["w18", "w32", "w40", "w48"])
def test_every_detector_goes_with_every_network(detector, network):
    file = str(REPO / f"configs/detection/coco_{network}.yaml")
    here = "runtime.num_gpus=0,runtime.distribution_strategy=one_device"
    params = parse_config(f"hrnet_{detector}_coco", [file], here)
    assert params.task.model.backbone.hrnet.model_id == network
    params.task.init_checkpoint = ""
    validate(params, None, kinds.kind_of(params.task).mistakes)


def test_the_2x_schedule_is_twice_as_long():
    file = str(REPO / "configs/detection/schedule_2x.yaml")
    once, twice = (
        parse_config("hrnet_fasterrcnn_coco", files).trainer for files in ([], [file])
    )
    assert twice.train_steps == 2 * once.train_steps
    epoch = once.train_steps // 12
    rates = twice.optimizer_config.learning_rate.stepwise
    assert [boundary / epoch for boundary in rates.boundaries] == [20, 23]
    assert rates.values == once.optimizer_config.learning_rate.stepwise.values


@pytest.mark.parametrize(
    "path", [path for path in PRESETS if "mobile" in path.name], ids=lambda p: p.name
)
def test_mobile_presets_are_what_their_names_say(path):
    params = parse_config("hrnet_pose_coco", [str(path)])
    assert path.stem == "mobile_{}_{}x{}".format(
        params.task.model.backbone.hrnet.model_id, *params.task.model.input_size
    )
