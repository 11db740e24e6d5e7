"""The table of all kinds of models, for training and export; each has a folder.

`predictors` is the one for prediction, which needs none of this.
"""

from official.core import config_definitions as cfg
from official.vision.configs.image_classification import ImageClassificationTask

from hrnet_tf.serving.detection.kind import DETECTION
from hrnet_tf.serving.kind import Kind
from hrnet_tf.serving.people.kind import PEOPLE
from hrnet_tf.serving.pose.kind import POSE
from hrnet_tf.serving.segmentation.kind import SEGMENTATION
from hrnet_tf.training.validation import classification as classification_validation

# Trained and evaluated by the Garden's own task, and not exported.
_CLASSIFICATION = Kind(
    name="classification",
    mistakes=classification_validation.mistakes,
    configs=(ImageClassificationTask,),
)
_ANY_OF_THE_GARDEN = Kind(name="Model Garden", configs=(cfg.TaskConfig,))

# The first that fits a configuration counts.
KINDS = {
    kind.name: kind
    for kind in (
        POSE,
        SEGMENTATION,
        DETECTION,
        PEOPLE,
        _CLASSIFICATION,
        _ANY_OF_THE_GARDEN,
    )
}


def kind_of(config: cfg.TaskConfig) -> Kind:
    """The kind of the models that a task with this configuration trains."""
    return next(kind for kind in KINDS.values() if isinstance(config, kind.configs))
