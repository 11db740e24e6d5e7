"""One check of a whole experiment, before the first step.

The Garden takes most mistakes silently and fails on them hours later, or not at all.
`validate` finds all of them at once; `hrnet_tf.experiment` has already refused keys
that do not exist. Every check yields a sentence per mistake.
"""

from official.core import config_definitions as cfg
from official.vision.configs.image_classification import ImageClassificationTask

from hrnet_tf.configs.detection import MaskRCNNTask, RetinaNetTask
from hrnet_tf.configs.pose import PoseTask
from hrnet_tf.configs.segmentation import SegmentationTask
from hrnet_tf.training.experiment import ConfigError, type_mistakes
from hrnet_tf.training.validation import classification, detection, pose, segmentation
from hrnet_tf.training.validation.backbone import backbone_mistakes
from hrnet_tf.training.validation.choices import choice_mistakes
from hrnet_tf.training.validation.inputs import data_mistakes, init_checkpoint_mistakes
from hrnet_tf.training.validation.training import runtime_mistakes, trainer_mistakes

# The modes of the Garden that it implements.
MODES = ("train", "eval", "train_and_eval", "continuous_eval", "train_and_post_eval")


def validate(params: cfg.ExperimentConfig, mode: str | None) -> None:
    """Checks an experiment of the Garden, most closely one of ours.

    Args:
        params: The experiment with all changes applied.
        mode: One of `MODES`; decides which files are needed. None: no data at all.

    Raises:
        ConfigError: If anything is wrong; one sentence and line per mistake.
    """
    # Values of the wrong type would only confuse the checks of what they mean.
    mistakes = list(type_mistakes(params).values())
    if not mistakes:
        trains, evaluates = "train" in (mode or ""), "eval" in (mode or "")
        mistakes = [
            *([] if mode is None else choice_mistakes("--mode", mode, MODES)),
            *trainer_mistakes(params, trains),
            *runtime_mistakes(params, evaluates),
            *backbone_mistakes(params.task),
            *init_checkpoint_mistakes(params.task),
        ]
        if isinstance(params.task, PoseTask):
            mistakes += pose.mistakes(params, trains, evaluates)
        elif isinstance(params.task, SegmentationTask):
            mistakes += segmentation.mistakes(params, trains, evaluates)
        elif isinstance(params.task, (MaskRCNNTask, RetinaNetTask)):
            mistakes += detection.mistakes(params, trains, evaluates)
        else:
            mistakes += data_mistakes(params.task, trains, evaluates)
        if isinstance(params.task, ImageClassificationTask):
            mistakes += classification.mistakes(params)
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    try:
        params.validate()
    except KeyError as error:
        raise ConfigError(f"A restriction of the experiment: {error.args[0]}") from None
