"""A network that the Garden cannot build is told of in a sentence."""

import operator
import re

import pytest
from official.core import task_factory
from official.modeling import hyperparams

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.training import networks
from hrnet_tf.training.experiment import parse_config
from hrnet_tf.training.field_types import join, keys, type_mistakes
from hrnet_tf.training.networks import NetworkError
from hrnet_tf.training.validation.ranges import range_of, value_mistakes
from tests.conftest import TOY_BACKBONE, TOY_DETECTOR, TOY_MASK_RCNN


def task_of(decoder):
    params = parse_config("hrnet_seg_custom", [], "task.label_set=synthetic_parts")
    params.override({"task": {"model": {"backbone": TOY_BACKBONE}}})
    params.override({"task": {"model": {"decoder": decoder}}})
    return task_factory.get_task(params.task)


@pytest.mark.parametrize(
    "decoder", [{"type": "aspp", "aspp": {"level": 4}}, {"type": "identity"}]
)
def test_parts_that_do_not_fit_are_named(decoder):
    with pytest.raises(NetworkError) as error:
        networks.build(task_of(decoder))
    message = str(error.value)
    assert f"decoder.type '{decoder['type']}' of the Model Garden" in message
    assert "\n" not in message and "/" not in message and "configurable" not in message


def test_a_level_that_is_missing_is_named():
    params = parse_config("hrnet_fasterrcnn_coco")
    model = {"backbone": TOY_BACKBONE, "decoder": {"type": "nasfpn"}, "min_level": 2}
    params.override({"task": {"model": {**model, "input_size": [128, 128, 3]}}})
    task = task_factory.get_task(params.task)
    with pytest.raises(NetworkError, match=r"\(there is no level \d\)"):
        networks.build(task)


def lower_ends(config, path):
    """The least value of every number below `path` for which a range is stated."""
    for name in keys(config):
        value, key_path = getattr(config, name), join(path, name)
        if isinstance(value, hyperparams.Config):
            chosen = not isinstance(config, hyperparams.OneOfConfig)
            if chosen or name == config.type:
                yield from lower_ends(value, key_path)
        stated = range_of(key_path)
        bounds = stated and re.match(r"in \[([-+.e0-9]+), ", stated.words)
        if bounds and type(value) in (int, float):
            yield key_path, type(value)(float(bounds[1]))


@pytest.mark.parametrize(
    ("experiment", "toy"),
    [
        pytest.param("hrnet_maskrcnn_coco", TOY_MASK_RCNN, marks=pytest.mark.slow),
        ("hrnet_retinanet_coco", TOY_DETECTOR),
    ],
)
def test_networks_of_the_least_numbers_are_built(experiment, toy):
    params = parse_config(experiment)
    params.override({"task": {"model": toy}})
    for path, least in lower_ends(params.task.model, "task.model"):
        if not re.search(r"backbone|level|num_classes", path):
            section, name = path.rsplit(".", 1)
            operator.attrgetter(section)(params).override({name: least})
    assert list(type_mistakes(params, value_mistakes=value_mistakes)) == []
    model = networks.build(task_factory.get_task(params.task))
    assert model.trainable_weights


def test_networks_that_fit_are_built():
    assert networks.build(task_of({"type": "hrnetv2"})).count_params() > 0


def test_faults_of_our_own_parts_stay(monkeypatch):
    from hrnet_tf.tasks import segmentation

    def fail(*arguments):
        raise ValueError("a fault")

    monkeypatch.setattr(segmentation, "build_segmentation_model", fail)
    with pytest.raises(ValueError, match="^a fault$"):
        networks.build(task_of({"type": "hrnetv2"}))
