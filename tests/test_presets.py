"""Every configuration file in configs/ can be used, but for the data that it names."""

import functools
import operator
import re
from pathlib import Path

import pytest
import tensorflow as tf

from hrnet_tf import (
    preset_files,
    registry_imports,  # noqa: F401
    train,
)
from hrnet_tf.data.vocabularies.label_sets import load_label_set
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.serving import kinds
from hrnet_tf.training import devices
from hrnet_tf.training.experiment import parse_config
from hrnet_tf.training.validation import trainer, validate

REPO = Path(__file__).resolve().parents[1]
EXPERIMENTS = {
    "pose": "hrnet_pose_coco",
    "face": "hrnet_face_wflw",
    "classification": "hrnet_imagenet",
}
SEGMENTATION = ("cityscapes", "pascal_context", "lip")
KEYPOINT_DATA = ("mpii", "crowdpose", "ap10k", "wholebody")
NO_CONFIGURATION = ("skeleton_example.yaml", "classes_example.yaml")
PRESETS = sorted(
    path
    for path in (REPO / "configs").rglob("*.yaml")
    if path.name not in NO_CONFIGURATION
)


def experiment_of(path: Path) -> str:
    if path.parent.name == "detection":
        is_mobile = path.name.startswith("mobile")
        return "hrnet_retinanet_coco" if is_mobile else "hrnet_maskrcnn_coco"
    if path.parent.name == "pose" and path.name.startswith(KEYPOINT_DATA):
        return f"hrnet_pose_{path.name.split('_')[0]}"
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


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.name)
def test_preset_runs_on_any_number_of_gpus(path, monkeypatch):
    params = parse_config(experiment_of(path), [str(path)])
    given = params.runtime.as_dict()
    for mode in ("train", "eval", "train_and_eval"):
        for count in (3, 6, 8):
            there = [object()] * count
            monkeypatch.setattr(
                tf.config, "list_physical_devices", lambda _, is_=there: is_
            )
            params.runtime.override(given)
            devices.use_gpus(params, mode)
            uses = "train" in mode, "eval" in mode
            assert not list(trainer.runtime_mistakes(params, *uses))
            assert 1 <= params.runtime.num_gpus <= count


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.name)
def test_presets_find_their_files_without_a_checkout(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = f"{path.parent.name}/{path.stem}"
    assert name in preset_files.presets()
    task = parse_config(experiment_of(path), [name]).task
    if hasattr(task, "skeleton"):
        assert load_skeleton(task.skeleton).num_keypoints
    if hasattr(task, "label_set"):
        assert load_label_set(task.label_set).classes


def test_examples_of_skeletons_and_classes_are_no_presets():
    examples = [name for name in preset_files.presets() if "example" in name]
    assert not examples
    assert len(preset_files.presets()) == len(PRESETS)


@pytest.mark.parametrize("form", ["configs/{}.flags", "{}.flags", "{}"])
@pytest.mark.parametrize("task", ["pose", "segmentation", "detection"])
def test_flags_of_the_demos_are_found_without_a_checkout(
    task, form, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    values = train.define_flags()
    values(["train", f"--flagfile={form.format(f'{task}/synthetic')}"])
    (name,) = values.config_file
    assert parse_config(values.experiment, [name]).task.train_data.input_path
    # A file of one's own comes first.
    own = tmp_path / f"{task}/synthetic.flags"
    own.parent.mkdir()
    own.write_text("--experiment=mine\n--model_dir=here")
    values = train.define_flags()
    values(["train", f"--flagfile={task}/synthetic.flags"])
    assert values.experiment == "mine"


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
    "path",
    [path for path in PRESETS if re.search(r"_\d+x\d+$", path.stem)],
    ids=lambda path: path.name,
)
def test_presets_of_pose_are_what_their_names_say(path):
    params = parse_config(experiment_of(path), [str(path)])
    assert path.stem == "{}_{}_{}x{}".format(
        path.stem.split("_")[0],
        params.task.model.backbone.get().model_id,
        *params.task.model.input_size,
    )
    if path.parent.name == "pose":
        assert params.task.codec.sigma == (3 if "384" in path.stem else 2)
    data_set = path.stem.split("_")[0]
    if not path.name.startswith(("coco", "mobile")):
        assert data_set in params.task.skeleton


@pytest.mark.parametrize(
    "path",
    [path for path in PRESETS if path.name.startswith(SEGMENTATION)],
    ids=lambda path: path.name,
)
def test_presets_of_segmentation_are_what_their_names_say(path):
    task = parse_config(experiment_of(path), [str(path)]).task
    network = task.model.backbone.hrnet.model_id
    ocr = "_ocr" if task.model.decoder.type == "hrnetv2_ocr" else ""
    assert path.stem == f"{task.label_set}_{network}{ocr}"
    assert task.init_checkpoint == f"weights/imagenet_{network}/ckpt"
    assert task.init_checkpoint_modules == "backbone"
    for name, data in (("train", task.train_data), ("val", task.validation_data)):
        assert data.input_path == f"data/{task.label_set}/records/{name}-*"


# What files of a family leave to the defaults of their experiment, and count on.
_PAPER = {
    "task.codec.name": "msra",
    "task.train_data.global_batch_size": 128,
    "task.validation_data.global_batch_size": 128,
    "task.validation_data.detections_file": "",
    "trainer.train_steps": 245700,
    "trainer.validation_interval": 11700,
    "trainer.checkpoint_interval": 1170,
    "trainer.optimizer_config.learning_rate.stepwise.boundaries": [198900, 234000],
    "trainer.optimizer_config.learning_rate.stepwise.values": [1e-3, 1e-4, 1e-5],
}
_MMPOSE = {
    "task.codec.name": "msra",
    "task.model.decoder.type": "hrnetv1",
    "task.train_data.global_batch_size": 512,
    "task.train_data.augmentation.shift": 0.16,
    "task.train_data.augmentation.shift_probability": 0.3,
    "task.train_data.augmentation.distribution": "truncated_normal",
    "task.train_data.augmentation.scale": 0.5,
    "task.train_data.augmentation.rotation": 80,
    "task.train_data.augmentation.half_body_probability": 0.3,
    "task.evaluation.flip_test": True,
    "trainer.optimizer_config.learning_rate.stepwise.values": [5e-4, 5e-5, 5e-6],
    "trainer.optimizer_config.warmup.type": "linear",
    "trainer.optimizer_config.warmup.linear.warmup_steps": 500,
    "trainer.optimizer_config.warmup.linear.warmup_learning_rate": 5e-7,
}
RECIPES = {
    "pose/coco_w[0-9]*_*.yaml": _PAPER,
    "pose/mobile_w[0-9]*_*.yaml": _PAPER,
    **{
        f"pose/*{network}_*.yaml": {
            "task.codec.name": "msra",
            "task.model.decoder.type": "litehrnet",
            "task.train_data.global_batch_size": 128,
            "task.train_data.augmentation.rotation": 30,
            "task.train_data.augmentation.scale": 0.25,
            "task.train_data.augmentation.half_body_probability": 0.3,
            "task.train_data.augmentation.half_body_min_keypoints": 8,
            "trainer.train_steps": 245700,
            "trainer.optimizer_config.warmup.linear.warmup_steps": 500,
            "trainer.optimizer_config.warmup.linear.warmup_learning_rate": 2e-6,
            "trainer.optimizer_config.learning_rate.stepwise.boundaries": [
                *(198900, 234000)
            ],
            "trainer.optimizer_config.learning_rate.stepwise.values": [
                *(2e-3, 2e-4, 2e-5)
            ],
        }
        for network in ("lite18", "lite30", "naive18")
    },
    "pose/mpii_*.yaml": {
        "task.codec.name": "msra",
        "task.train_data.global_batch_size": 128,
        "task.train_data.augmentation.rotation": 30,
        "task.train_data.augmentation.scale": 0.25,
        "task.train_data.augmentation.distribution": "normal",
        "task.train_data.augmentation.half_body_probability": 0,
        "task.evaluation.flip_test": True,
        "task.evaluation.metric": "pckh",
        "trainer.best_checkpoint_eval_metric": "PCKh@0.5",
        "trainer.best_checkpoint_metric_comp": "higher",
        "trainer.train_steps": 36330,
        "trainer.validation_interval": 1730,
        "trainer.optimizer_config.learning_rate.stepwise.boundaries": [29410, 34600],
        "trainer.optimizer_config.learning_rate.stepwise.values": [1e-3, 1e-4, 1e-5],
    },
    "pose/crowdpose_*.yaml": {**_MMPOSE, "trainer.train_steps": 17640},
    "pose/ap10k_*.yaml": {**_MMPOSE, "trainer.train_steps": 3570},
    "pose/wholebody_*.yaml": {**_MMPOSE, "trainer.train_steps": 61320},
    # The larger network is trained with batches of 256.
    "pose/wholebody_w48_384x288.yaml": {
        "task.train_data.global_batch_size": 256,
        "trainer.train_steps": 122850,
        "trainer.validation_interval": 5850,
        "trainer.optimizer_config.learning_rate.stepwise.boundaries": [99450, 117000],
    },
    "face/*.yaml": {
        "task.codec.name": "msra",
        "task.codec.sigma": 1.5,
        "task.model.decoder.type": "hrnetv2",
        "task.model.decoder.hrnetv2.upsampling": "bilinear",
        "task.model.backbone.hrnet.multi_scale_output": True,
        "task.model.backbone.hrnet.fuse_upsampling": "bilinear",
        "task.model.norm_activation.norm_momentum": 0.99,
        "task.init_checkpoint_modules": "backbone",
        "task.train_data.global_batch_size": 16,
        "task.train_data.augmentation.rotation": 30,
        "task.train_data.augmentation.scale": 0.25,
        "task.train_data.augmentation.distribution": "uniform",
        "task.train_data.augmentation.half_body_probability": 0,
        "task.evaluation.flip_test": False,
        "task.evaluation.metric": "nme",
        "task.evaluation.normalizer": "",  # The skeletons name theirs.
        "trainer.best_checkpoint_eval_metric": "NME",
        "trainer.best_checkpoint_metric_comp": "lower",
        "trainer.train_steps": 28080,
        "trainer.validation_interval": 468,
        "trainer.optimizer_config.learning_rate.stepwise.boundaries": [14040, 23400],
        "trainer.optimizer_config.learning_rate.stepwise.values": [1e-4, 1e-5, 1e-6],
    },
    "face/300w_w18_256x256.yaml": {
        "task.codec.sigma": 1.0,
        "trainer.train_steps": 11760,
        "trainer.validation_interval": 196,
        "trainer.optimizer_config.learning_rate.stepwise.boundaries": [5880, 9800],
    },
    "face/cofw_w18_256x256.yaml": {
        "trainer.train_steps": 5040,
        "trainer.validation_interval": 84,
        "trainer.optimizer_config.learning_rate.stepwise.boundaries": [2520, 4200],
    },
    "face/aflw_w18_256x256.yaml": {
        "trainer.train_steps": 75000,
        "trainer.validation_interval": 1250,
        "trainer.optimizer_config.learning_rate.stepwise.boundaries": [37500, 62500],
        "trainer.optimizer_config.learning_rate.stepwise.values": [2e-4, 2e-5, 2e-6],
    },
    # The largest network is the exception, with batches of 96.
    "pose/coco_w48_384x288.yaml": {
        "task.train_data.global_batch_size": 96,
        "task.validation_data.global_batch_size": 96,
        "trainer.train_steps": 327600,
        "trainer.validation_interval": 15600,
        "trainer.checkpoint_interval": 1560,
        "trainer.optimizer_config.learning_rate.stepwise.boundaries": [265200, 312000],
    },
    "pose/coco_*.yaml": {
        "runtime.distribution_strategy": "mirrored",
        "runtime.num_gpus": -1,
    },
    "pose/mobile_*.yaml": {
        "runtime.distribution_strategy": "one_device",
        "runtime.num_gpus": -1,
    },
    "segmentation/cityscapes_*.yaml": {
        "task.train_data.global_batch_size": 12,
        "task.train_data.crop_size": [512, 1024],
        "task.losses.l2_weight_decay": 5e-4,
        "task.losses.auxiliary_weight": 0.4,
        "trainer.train_steps": 119548,
        "trainer.validation_interval": 2470,
        "trainer.checkpoint_interval": 2470,
        "trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate": 0.01,
        "trainer.optimizer_config.learning_rate.polynomial.decay_steps": 119548,
    },
    "segmentation/pascal_context_*.yaml": {
        "task.train_data.global_batch_size": 16,
        "task.train_data.crop_size": [480, 480],
        "task.losses.l2_weight_decay": 1e-4,
        "trainer.train_steps": 62400,
        "trainer.validation_interval": 3120,
        "trainer.checkpoint_interval": 3120,
        "trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate": (
            0.004
        ),
        "trainer.optimizer_config.learning_rate.polynomial.decay_steps": 62400,
    },
    "segmentation/lip_*.yaml": {
        "task.train_data.global_batch_size": 40,
        "task.train_data.crop_size": [473, 473],
        "task.losses.l2_weight_decay": 5e-4,
        "trainer.train_steps": 114150,
        "trainer.validation_interval": 7610,
        "trainer.checkpoint_interval": 7610,
        "trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate": (
            0.007
        ),
        "trainer.optimizer_config.learning_rate.polynomial.decay_steps": 114150,
    },
    "segmentation/*_w*.yaml": {
        "task.validation_data.global_batch_size": 4,
        "runtime.distribution_strategy": "mirrored",
        "runtime.num_gpus": -1,
    },
    "detection/mobile_*.yaml": {
        "task.model.num_classes": 2,
        "task.init_checkpoint_modules": "backbone",
        "task.train_data.global_batch_size": 16,
        "trainer.train_steps": 88704,
        "runtime.distribution_strategy": "one_device",
        "runtime.num_gpus": -1,
    },
    "detection/coco_*.yaml": {
        "task.init_checkpoint_modules": "backbone",
        "task.train_data.global_batch_size": 16,
        "task.validation_data.global_batch_size": 8,
        "runtime.distribution_strategy": "mirrored",
        "runtime.num_gpus": -1,
    },
}


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.name)
def test_presets_keep_their_recipes(path):
    recipe = {}
    for pattern in sorted(RECIPES, key=lambda pattern: "*" not in pattern):
        if path.match(pattern):
            recipe |= RECIPES[pattern]
    params = parse_config(experiment_of(path), [str(path)]).as_dict()
    for key, expected in recipe.items():
        found = functools.reduce(operator.getitem, key.split("."), params)
        assert found == expected, key
