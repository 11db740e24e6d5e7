"""Every configuration that docs/training.md shows can be used as it is printed."""

import copy
import re
from pathlib import Path

import pytest
from official.core import base_task

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.serving import kinds
from hrnet_tf.training import devices
from hrnet_tf.training.experiment import parse_config
from hrnet_tf.training.validation import trainer, validate

TEXT = (Path(__file__).parents[1] / "docs/training.md").read_text()
BLOCKS = re.findall(r"^## (.*?)$|^```yaml\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def snippets() -> list:
    section, found = "", []
    for heading, block in BLOCKS:
        section = heading or section
        if block:
            found.append(pytest.param(block, id=section))
    return found


@pytest.mark.parametrize("block", snippets())
def test_a_snippet_is_a_valid_configuration(block, tmp_path):
    file = tmp_path / "snippet.yaml"
    file.write_text(block)
    before = parse_config("hrnet_pose_coco").as_dict()
    params = parse_config("hrnet_pose_coco", [str(file)])
    # The paper's number of GPUs is the default, so that its snippet changes nothing.
    if "num_gpus" not in block:
        assert params.as_dict() != before
    devices.use_gpus(params, "train_and_eval")
    assert not list(trainer.trainer_mistakes(params, trains=True))
    validate(params, None, kinds.kind_of(params.task).mistakes)
    runtime = copy.deepcopy(params.runtime)
    optimizer_config = params.trainer.optimizer_config
    assert base_task.Task.create_optimizer(optimizer_config, runtime)


@pytest.mark.parametrize("block", snippets())
def test_a_snippet_draws_no_warning(block, tmp_path, caplog):
    file = tmp_path / "snippet.yaml"
    file.write_text(block)
    params = parse_config("hrnet_pose_coco", [str(file)])
    if "learning_rate" not in block:
        params.trainer.optimizer_config.learning_rate.type = "constant"
    assert not list(trainer.trainer_mistakes(params, trains=True))
    assert not caplog.messages


def test_all_sections_have_snippets():
    sections = [heading for heading, _ in BLOCKS if heading]
    assert len(sections) >= 8
    assert {snippet.id for snippet in snippets()} == set(sections)
