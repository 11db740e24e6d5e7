"""The configuration of a run that is exported, and what does not go with its kind."""

import json
import shutil
from pathlib import Path

import pytest

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.serving.configuration import read_config
from hrnet_tf.serving.exporter import Options
from hrnet_tf.training.experiment import ConfigError

OLD = Path(__file__).parents[1] / "testdata/version_0_1"
PARAMS = {
    "pose": OLD / "run/params.yaml",
    "segmentation": OLD / "params/segmentation.yaml",
    "detection": OLD / "params/maskrcnn.yaml",
}
GIVEN = {
    "flip_test": (True, {"pose", "segmentation"}),
    "heatmaps": (True, {"pose"}),
    "logits": (True, {"segmentation"}),
    "input_size": ((64, 96), {"segmentation"}),
    "batch_size": (4, {"pose"}),
}


@pytest.fixture(params=PARAMS)
def run(request, tmp_path):
    """A kind of model, and the directory of a run of it."""
    shutil.copy(PARAMS[request.param], tmp_path / "params.yaml")
    return request.param, str(tmp_path)


def read(run_dir, experiment=None, **options):
    given = Options(**options)
    return read_config(experiment, run_dir, [], [], given, verify=False)


@pytest.mark.parametrize("option", GIVEN)
def test_options_of_other_kinds_are_refused(option, run):
    kind, run_dir = run
    value, takers = GIVEN[option]
    if kind in takers:
        params, found = read(run_dir, **{option: value})
        assert found.name == kind
        if option == "flip_test":
            assert params.task.evaluation.flip_test is True
        return
    with pytest.raises(ConfigError) as refusal:
        read(run_dir, **{option: value})
    message = str(refusal.value)
    assert message.startswith(f"--{option} goes with ")
    assert all(taker in message for taker in takers)
    assert message.endswith(f"; this is a {kind} model.")


def test_a_run_says_its_experiment(tmp_path):
    # What is tried without it is hrnet_maskrcnn_coco, which has no cascade.
    (tmp_path / "params.yaml").write_text("task: {model: {num_classes: 5}}\n")
    record = {"experiment": "hrnet_cascadercnn_coco"}
    (tmp_path / "run.json").write_text(json.dumps(record))
    params, kind = read(str(tmp_path))
    assert kind.name == "detection"
    assert params.task.model.roi_sampler.cascade_iou_thresholds
    params, _ = read(str(tmp_path), "hrnet_maskrcnn_coco")
    assert not params.task.model.roi_sampler.cascade_iou_thresholds


def test_a_configuration_of_no_kind_is_refused_as_the_nearest(tmp_path):
    text = PARAMS["segmentation"].read_text().replace("label_set:", "label_sett:")
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ConfigError, match="label_sett .*did you mean task.label_set"):
        read(str(tmp_path))
