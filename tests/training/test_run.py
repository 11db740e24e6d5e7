"""A run records which experiment it is of, and the categories that it names."""

import json

import pytest

from hrnet_tf import __version__
from hrnet_tf.training import run, run_file
from hrnet_tf.training.experiment import ConfigError

CATEGORIES = {1: "person", 7: "Fußball"}


def test_the_record_names_the_experiment_and_the_version(tmp_path):
    run._record_run(str(tmp_path), "hrnet_seg_lip", {}, trains=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert json.loads((tmp_path / "run.json").read_text()) == {
        "experiment": "hrnet_seg_lip",
        "hrnet_tf_version": __version__,
    }
    assert run_file.read(str(tmp_path)) == run_file.RunFile("hrnet_seg_lip")


def test_the_record_names_a_detectors_categories(tmp_path):
    run._record_run(str(tmp_path), "hrnet_retinanet_coco", CATEGORIES, trains=True)
    content = json.loads((tmp_path / "run.json").read_text())
    assert content["categories"] == {"1": "person", "7": "Fußball"}
    assert run_file.read(str(tmp_path)).categories == CATEGORIES


def test_an_evaluation_adds_categories_to_a_run_of_before(tmp_path):
    run._record_run(str(tmp_path), "any", CATEGORIES, trains=False)
    assert not list(tmp_path.iterdir())  # It is no run.
    run._record_run(str(tmp_path), "hrnet_retinanet_coco", {}, trains=True)
    run._record_run(str(tmp_path), "other", CATEGORIES, trains=False)
    expected = run_file.RunFile("hrnet_retinanet_coco", CATEGORIES)
    assert run_file.read(str(tmp_path)) == expected
    run._record_run(str(tmp_path), "other", {1: "x"}, trains=False)
    assert run_file.read(str(tmp_path)) == expected


def test_the_record_is_found_from_a_checkpoint(tmp_path):
    run._record_run(str(tmp_path), "hrnet_retinanet_coco", CATEGORIES, trains=True)
    expected = run_file.RunFile("hrnet_retinanet_coco", CATEGORIES)
    for checkpoint in ("ckpt-4", "best_checkpoint/best_ckpt-4"):
        assert run_file.read_of_model(None, f"{tmp_path}/{checkpoint}") == expected
    assert run_file.read_of_model(str(tmp_path), None) == expected
    assert run_file.read_of_model(None, "ckpt-4") is None


def test_a_run_of_before_has_no_record(tmp_path):
    assert run_file.read(str(tmp_path)) is None


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "{}", "null", '{"experiment": 3}', '{"experiment": null}'),
        "\xff",
        '{"experiment": "a", "categories": ["person"]}',
        '{"experiment": "a", "categories": {"person": 1}}',
        '{"experiment": "a", "categories": {"1": 1}}',
    ],
)
def test_a_malformed_record_is_named(tmp_path, content):
    path = tmp_path / "run.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError) as error:
        run_file.read(str(tmp_path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
