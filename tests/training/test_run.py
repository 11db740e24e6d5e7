"""A run records which experiment it is of."""

import json

import pytest

from hrnet_tf import __version__
from hrnet_tf.training import run
from hrnet_tf.training.experiment import ConfigError


def test_the_record_names_the_experiment_and_the_version(tmp_path):
    run._record(str(tmp_path), "hrnet_seg_lip")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert json.loads((tmp_path / "run.json").read_text()) == {
        "experiment": "hrnet_seg_lip",
        "hrnet_tf_version": __version__,
    }
    assert run.read_experiment(str(tmp_path)) == "hrnet_seg_lip"


def test_a_run_of_before_has_no_record(tmp_path):
    assert run.read_experiment(str(tmp_path)) is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", "null", '{"experiment": 3}', '{"experiment": null}', "\xff"],
)
def test_a_malformed_record_is_named(tmp_path, content):
    path = tmp_path / "run.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError) as error:
        run.read_experiment(str(tmp_path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
