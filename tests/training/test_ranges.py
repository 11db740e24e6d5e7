"""Every value of every configuration has a stated range, which is checked."""

import dataclasses
import inspect
import re
import typing

import pytest
from official.core import exp_factory
from official.modeling import hyperparams

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.training.experiment import ConfigError, parse_config
from hrnet_tf.training.field_types import join, keys, section_type
from hrnet_tf.training.validation import garden, inputs, validate
from hrnet_tf.training.validation.ranges import RANGES, range_of, value_mistakes

OURS = [name for name in exp_factory._REGISTERED_CONFIGS if name.startswith("hrnet_")]
SWITCHES = (bool, typing.Optional[bool])  # noqa: UP045  The Garden writes it so.


def leaves(config, path=""):
    """Yields (path, annotation) of every value, also of sections that may be null."""
    annotations = typing.get_type_hints(type(config))
    for name in keys(config):
        key_path, annotation = join(path, name), annotations.get(name)
        section = getattr(config, name)
        if not isinstance(section, hyperparams.Config):
            optional = section_type(annotation)
            section = optional() if optional and keys(optional()) else None
        if section is not None:
            yield from leaves(section, key_path)
        else:
            yield key_path, annotation


@pytest.mark.parametrize("experiment", OURS)
def test_every_number_and_text_has_a_range(experiment):
    config = exp_factory.get_exp_config(experiment)
    forgotten = [
        path
        for path, annotation in leaves(config)
        if range_of(path) is None
        and annotation not in SWITCHES
        and not path.endswith("_data.weights")  # A section of any keys.
    ]
    assert forgotten == []


def test_every_range_is_of_some_key():
    paths = {
        path
        for name in OURS
        for path, _ in leaves(exp_factory.get_exp_config(name))
        if range_of(path)
    }
    used = {
        next(end for end in ends(re.sub(r"\[\d+\]", "", path)) if end in RANGES)
        for path in paths
    }
    assert set(RANGES) - used == set()


def ends(path):
    names = path.split(".")
    return [".".join(names[start:]) for start in range(len(names))]


@pytest.mark.parametrize("experiment", list(exp_factory._REGISTERED_CONFIGS))
def test_what_is_registered_is_in_range(experiment):
    def values(config, path=""):
        for name in keys(config):
            value, key_path = getattr(config, name), join(path, name)
            if isinstance(value, hyperparams.Config):
                yield from values(value, key_path)
            elif isinstance(value, (str, int, float)):
                yield from value_mistakes(key_path, value)

    try:
        config = exp_factory.get_exp_config(experiment)
    except (ValueError, TypeError):
        pytest.skip("The Garden cannot make this one.")
    assert list(values(config)) == []


def config_classes():
    """Our own configuration classes that any experiment has, with their places."""
    found = {}

    def visit(config, path):
        if type(config).__module__.startswith("hrnet_tf."):
            found.setdefault(type(config), path)
        for name in keys(config):
            if isinstance(value := getattr(config, name), hyperparams.Config):
                visit(value, join(path, name))

    for name in OURS:
        visit(exp_factory.get_exp_config(name), "")
    return [pytest.param(*item, id=item[0].__qualname__) for item in found.items()]


@pytest.mark.parametrize(("section", "path"), config_classes())
def test_documentation_states_the_same_ranges(section, path):
    own = inspect.get_annotations(section)
    documentation = " ".join((section.__doc__ or "").split())
    for field in dataclasses.fields(section):
        stated = range_of(join(path, field.name))
        is_number = own.get(field.name) in (int, float, list[int], list[float])
        if is_number and stated and stated.words.startswith("in ["):
            begin = documentation.find(f" {field.name}: ")
            end = re.search(r" (?!pixels)[a-z_0-9]+: |$", documentation[begin + 2 :])
            entry = documentation[begin : begin + 2 + end.end()]
            words = stated.words.removeprefix("in ")
            assert words in entry, f"{section.__name__}.{field.name}: {words}"


def refused(*overrides, experiment="hrnet_pose_coco"):
    """What is said of an experiment, without its files; "" if nothing is."""
    try:
        params = parse_config(experiment, [], overrides)
        validate(params, None, garden.mistakes)
    except ConfigError as error:
        return str(error)
    return ""


RATE = "trainer.optimizer_config.learning_rate"
PLAIN = [
    ("trainer.train_steps=100000000000000000000", "in [0, 1e+12]"),
    ("trainer.max_to_keep=0", "in [1, 10000]"),
    ("trainer.validation_steps=0", "-1, or in [1, 2147483647]"),
    ("trainer.validation_steps=-2", "-1, or in [1, 2147483647]"),
    ("trainer.steps_per_loop=4294967296", "in [1, 2147483647]"),
    ("trainer.continuous_eval_timeout=-1", "in [1, 1e+09]"),
    ("trainer.loss_upper_bound=0.0", "in [1e-15, 1e+38]"),
    ("trainer.best_checkpoint_metric_comp=highest", "did you mean 'higher'"),
    ("task.train_data.shuffle_buffer_size=0", "in [1, 1e+07]"),
    ("task.train_data.crop_shuffle_buffer_size=-1", "in [1, 1e+07]"),
    ("task.train_data.cycle_length=0", "in [1, 10000]"),
    ("task.train_data.block_length=0", "in [1, 1e+06]"),
    ("task.train_data.prefetch_buffer_size=-7", "in [0, 1e+06]"),
    ("task.train_data.autotune_algorithm=fast", "DEFAULT, HILL_CLIMB"),
    ("task.train_data.seed=-1", "in [0, "),
    ("task.train_data.augmentation.rotation=-1.0", "in [0, 360]"),
    ("task.train_data.augmentation.half_body_padding=0.0", "in [0.1, 10]"),
    ("task.codec.sigma=1.0e-20", "in [0.1, 100]"),
    ("task.evaluation.num_pictures=-1", "in [0, 1000]"),
    ("task.model.norm_activation.norm_epsilon=0.0", "in [1e-12, 1]"),
    ("task.model.norm_activation.norm_momentum=1.5", "in [0, 1)"),
    ("task.model.norm_activation.activation=rellu", "did you mean 'relu'"),
    ("task.model.backbone.hrnet.custom.modules=[1, 2]", "must have 3 elements"),
    ("runtime.loss_scale=abc", "dynamic, or in [1, 16777216]"),
    ("runtime.all_reduce_alg=sum", "one of nccl, hierarchical_copy, ring"),
    ("runtime.all_reduce_alg=ring", "with mirrored it must be nccl"),
    ("runtime.per_gpu_thread_count=-1", "in [0, 10000]"),
    ("runtime.dataset_num_private_threads=0", "in [1, 10000]"),
    ("trainer.optimizer_config.optimizer.adam.global_clipnorm=-1.0", "in [1e-15"),
    ("trainer.optimizer_config.optimizer.adam.epsilon=-1.0", "in [1e-30"),
    ("trainer.optimizer_config.optimizer.adam.name='a b'", "a name of letters"),
    ("trainer.optimizer_config.ema.average_decay=1.5", "in [0, 1)"),
    (
        f"{RATE}.stepwise.values=[1.0e+30, 1.0, 1.0]",
        "in [0, 1e+06], not 1e+30",
    ),
    ("task.name='3 tasks'", "a name of letters"),
    ("trainer.train_tf_function=false", "train_tf_while_loop is true and"),
    ("trainer.eval_tf_while_loop=true", "must be false"),
    ("trainer.optimizer_config.optimizer.adam.name=../x", "a name of letters"),
    ("trainer.optimizer_config.optimizer.adam.clipnorm=100000000000000000000", "2**63"),
    (f"task.name={10**90}", "must be a text"),
    (f"task.train_data.tfds_split={'x' * 5000}", "has 5000 letters; 4096 are"),
]


@pytest.mark.parametrize(("override", "words"), PLAIN)
def test_a_value_out_of_range_is_named(override, words):
    message = refused(override)
    key = override.partition("=")[0]
    assert key.replace("train_tf_function", "train_tf") in message
    assert words in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    "folder",
    [
        "..",
        ".",
        "../best",
        "a/../..",
        "/best",
        "best/",
        "a\0b",
        "checkpoint",
        "run.json",
    ]
    + ["params.yaml", "metrics.json/x", "ckpt-5", "a b", "x" * 101],
)
@pytest.mark.parametrize("key", ["best_checkpoint_export", "validation_summary"])
def test_a_folder_stays_in_the_model_directory(folder, key):
    params = parse_config("hrnet_pose_coco")
    params.override({"trainer": {f"{key}_subdir": folder}})
    with pytest.raises(ConfigError, match=f"trainer.{key}_subdir is "):
        validate(params, None, garden.mistakes)
    params.override({"trainer": {f"{key}_subdir": "best/of-all_2.1"}})
    validate(params, None, garden.mistakes)


@pytest.mark.parametrize(
    ("experiment", "override", "words"),
    [
        ("maskrcnn", "detection_generator.nms_version=v4", "one of v1, v2, v3"),
        ("maskrcnn", "roi_sampler.foreground_fraction=1.5", "in [0, 1]"),
        ("maskrcnn", "max_level=100000", "in [2, 10]"),
        ("maskrcnn", "anchor.aspect_ratios=[]", "must have 1 to"),
        ("retinanet", "anchor.aspect_ratios=[1.0, -1.0]", "in [0.01, 100], not -1.0"),
        ("retinanet", "head.num_filters=0", "in [1, 65536]"),
    ],
)
def test_a_detectors_values(experiment, override, words):
    name, value = override.split("=")
    message = refused(
        f"task.model.{name}={value}", experiment=f"hrnet_{experiment}_coco"
    )
    assert f"task.model.{name} is " in message
    assert words in message


# A value just outside a range, at which the Garden fails, and one just inside.
EDGES = [
    ("trainer.max_to_keep", 0, 1),
    ("task.train_data.parser.aug_scale_min", -0.1, 0.1),
    ("task.train_data.parser.aug_scale_max", 0.0, 0.1),
    ("task.train_data.parser.aug_type.randaug.exclude_ops", ["Rot"], ["Rotate"]),
    ("task.train_data.parser.aug_type.randaug.exclude_ops", ["Cutout"] * 16, []),
    ("task.train_data.parser.aug_rand_jpeg.max_quality", 101, 100),
    ("task.train_data.parser.max_num_instances", 0, 1),
    ("task.evaluation.top_k", 0, 1),
    ("task.evaluation.precision_and_recall_thresholds", [1.1], [1.0]),
    ("task.model.num_classes", -1, 0),
    ("task.model.min_level", 1, 2),
    ("task.model.outer_boxes_scale", 0.99, 1.0),
    ("task.model.anchor.aspect_ratios", [0.0], [0.01]),
    ("task.model.anchor.anchor_size", 0.0, 0.01),
    ("task.model.anchor.num_scales", 0, 1),
    ("task.model.rpn_head.num_convs", -1, 0),
    ("task.model.detection_head.fc_dims", 0, 1),
    ("task.model.mask_head.upsample_factor", 0, 1),
    ("task.model.roi_aligner.crop_size", 0, 1),
    ("task.model.mask_roi_aligner.crop_size", 0, 1),
    ("task.model.roi_sampler.cascade_iou_thresholds", [1.1], [1.0]),
    ("task.model.roi_sampler.cascade_iou_thresholds", [-0.1], [0.0]),
    ("task.model.roi_sampler.num_sampled_rois", 0, 1),
    ("task.model.mask_sampler.num_sampled_masks", 0, 1),
    ("task.model.roi_generator.num_proposals", 0, 1),
    ("task.model.roi_generator.pre_nms_top_k", 0, 1),
    ("task.model.detection_generator.max_num_detections", 0, 1),
    ("task.model.detection_generator.box_coder_weights", [1.0] * 3, [1.0] * 4),
    ("task.losses.ignore_label", 256, 255),
    ("task.losses.focal_loss_alpha", 1.1, 1.0),
    ("task.resizing.long_side", 31, 32),
]


@pytest.mark.parametrize(("path", "wrong", "right"), EDGES)
def test_edges_of_ranges(path, wrong, right):
    assert list(value_mistakes(path, right)) == []
    (mistake,) = value_mistakes(path, wrong)
    assert mistake.startswith(f"{path} is ")


def test_all_values_out_of_range_are_named_at_once():
    message = refused(
        "trainer.max_to_keep=0", "trainer.train_steps=abc", "task.codec.name=mrsa"
    )
    assert len(message.splitlines()) == 3


def test_a_regular_expression_that_is_none():
    params = parse_config("hrnet_pose_coco")
    chosen = {"type": "adamw", "adamw": {"exclude_from_weight_decay": ["bias", "["]}}
    params.override({"trainer": {"optimizer_config": {"optimizer": chosen}}})
    with pytest.raises(ConfigError, match="be a regular expression, not '\\['"):
        validate(params, None, garden.mistakes)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (None, "a number, 0 or more, for each key"),
        ({"a": 1.0}, "a number, 0 or more, for each key"),
        ({"a": 1.0, "b": -1.0}, "a number, 0 or more, for each key"),
        ({"a": 1.0, "b": "x"}, "a number, 0 or more, for each key"),
        ({"a": 0.0, "b": 0}, "sum must be above 0"),
        ({"a": 1.0, "b": 0}, ""),
    ],
)
def test_weights_of_several_sources(weights, words):
    config = exp_factory.get_exp_config("hrnet_imagenet").task.train_data
    config.override({"input_path": {"a": "x", "b": "y"}})
    if weights:
        config.override({"weights": weights})
    mistakes = [
        mistake
        for mistake in inputs.source_mistakes("task.train_data", config)
        if "no file matches" not in mistake
    ]
    assert len(mistakes) == bool(words)
    assert all(words in mistake for mistake in mistakes)


def test_nulls_stand_for_unknown_sizes_alone():
    assert "not null" in refused("task.loss.keypoint_weights=[1.0, null]")
    assert "must be" not in "".join(
        value_mistakes("task.model.input_size", [None, None, 3])
    )


def test_a_number_that_no_float_holds():
    params = parse_config("hrnet_pose_coco")
    params.override({"task": {"name": 10**400}})
    with pytest.raises(ConfigError, match="task.name is 1000.*must be a text"):
        validate(params, None, garden.mistakes)


def test_gradients_are_clipped_in_one_way():
    key = "trainer.optimizer_config.optimizer.adam"
    message = refused(f"{key}.clipnorm=1.0,{key}.clipvalue=2.0")
    assert f"{key} sets clipnorm and clipvalue; only one" in message


def test_a_decoder_is_chosen_and_has_its_file(tmp_path):
    data = exp_factory.get_exp_config("hrnet_retinanet_coco").task.train_data
    data.override({"decoder": {"type": None}})
    assert "decoder.type is null" in "".join(inputs.reading_mistakes("data", data))
    data.override({"decoder": {"type": "label_map_decoder"}})
    assert "label_map is ''" in "".join(inputs.reading_mistakes("data", data))
    (tmp_path / "labels.csv").write_text("person,1")
    file = str(tmp_path / "labels.csv")
    data.override({"decoder": {"label_map_decoder": {"label_map": file}}})
    assert list(inputs.reading_mistakes("data", data)) == []
