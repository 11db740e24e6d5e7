"""What the Garden's augmentation needs: pairs in order, and policies that fit a task.

`tf.random.uniform` refuses integers whose bounds are equal or reversed only once an
image is augmented, and takes reversed bounds of other numbers as they are.
"""

from collections.abc import Iterator
from typing import Any

from official.core import config_definitions as cfg
from official.modeling import hyperparams

from hrnet_tf.messages import shown
from hrnet_tf.training.validation import choices

# The policies that move boxes, too; other tasks would have none to move.
_OF_BOXES = "detection_v0"


def _policy_mistakes(
    path: str, augmentation: hyperparams.OneOfConfig | None, has_boxes: bool
) -> Iterator[str]:
    """Checks `aug_type`; `has_boxes` says that the task augments boxes, too."""
    if augmentation is None:
        return
    yield from choices.unset_type_mistakes(path, augmentation)
    kind = augmentation.type
    if kind == "ssd_random_crop":
        if not has_boxes:
            yield (
                f"{path}.type is 'ssd_random_crop', which only RetinaNet has; it must "
                "be autoaug or randaug."
            )
        crop = augmentation.ssd_random_crop
        yield from _range_mistakes(f"{path}.{kind}", crop, "aspect_ratio_range")
        yield from _range_mistakes(f"{path}.{kind}", crop, "area_range")
        if not crop.ssd_random_crop_params:
            yield (
                f"{path}.{kind}.ssd_random_crop_params is empty; it must have 1 or "
                "more elements, of which one is drawn."
            )
    policy = augmentation.autoaug.augmentation_name if kind == "autoaug" else None
    if policy == _OF_BOXES and not has_boxes:
        yield (
            f"{path}.autoaug.augmentation_name is {policy!r}, which only RetinaNet can "
            "use; take another policy, such as v0."
        )


def parser_mistakes(path: str, parser: hyperparams.Config) -> Iterator[str]:
    """Checks pairs of numbers of a detection parser, and its augmentation."""
    for low, high in (
        ("unmatched_threshold", "match_threshold"),
        ("rpn_unmatched_threshold", "rpn_match_threshold"),
        ("aug_scale_min", "aug_scale_max"),
    ):
        if hasattr(parser, low):
            yield from choices.in_order(path, parser, low, high)
    if jpeg := getattr(parser, "aug_rand_jpeg", None):
        # The Garden draws a quality below the greatest one.
        yield from choices.in_order(
            f"{path}.aug_rand_jpeg", jpeg, "min_quality", "max_quality", strictly=True
        )
    is_retinanet = not hasattr(parser, "rpn_fg_fraction")
    yield from _policy_mistakes(f"{path}.aug_type", parser.aug_type, is_retinanet)
    if is_retinanet:
        yield from _unused_mistakes(path, parser, aug_policy=None)


def classification_mistakes(path: str, data: cfg.DataConfig) -> Iterator[str]:
    """Checks how the Garden augments images of image classification."""
    yield from _policy_mistakes(f"{path}.aug_type", data.aug_type, has_boxes=False)
    if erasing := data.random_erasing:
        key = f"{path}.random_erasing"
        yield from choices.in_order(key, erasing, "min_area", "max_area")
        if erasing.min_aspect > 1:
            yield (
                f"{key}.min_aspect is {erasing.min_aspect}; it must not be above 1, "
                "since the greatest aspect is its inverse."
            )
    yield from _unused_mistakes(
        path, data, crop_area_range=(0.08, 1.0), aug_policy=None, randaug_magnitude=10
    )
    if mixup := data.mixup_and_cutmix:
        key = f"{path}.mixup_and_cutmix"
        yield from _unused_mistakes(key, mixup, switch_prob=0.5)
        if not mixup.mixup_alpha and not mixup.cutmix_alpha:
            yield (
                f"{key}.mixup_alpha and cutmix_alpha are 0; one must be above 0, or "
                f"{key} null."
            )


def _unused_mistakes(
    path: str, section: hyperparams.Config, **defaults: Any
) -> Iterator[str]:
    """Checks that nothing is set that the Garden does not look at."""
    for name, default in defaults.items():
        value = getattr(section, name)
        given = tuple(value) if isinstance(value, (list, tuple)) else value
        if given != default:
            wanted = list(default) if isinstance(default, tuple) else default
            yield (
                f"{path}.{name} is {shown(value)}, which would change nothing, since "
                f"the Garden does not use it; leave it at {shown(wanted)}."
            )


def _range_mistakes(path: str, section: hyperparams.Config, name: str) -> Iterator[str]:
    low, high = getattr(section, name)
    if low > high:
        yield (
            f"{path}.{name} is {shown([low, high])}; the second number must not be "
            "below the first."
        )
