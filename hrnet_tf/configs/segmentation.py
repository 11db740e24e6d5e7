"""Semantic segmentation with HRNetV2: its configuration and its experiments.

The task is the Garden's with what it lacks: label sets, the official resizing, random
scales and mirroring, OHEM, OCR's auxiliary loss, sliding windows, several scales.
"""

import dataclasses

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.modeling import hyperparams
from official.vision.configs import semantic_segmentation

from hrnet_tf.configs import backbones, decoders, recipes
from hrnet_tf.configs.color import Color

RESIZING_METHODS = ("long_side", "fixed")
COMBINATIONS = ("exp_logits", "probabilities")

# Official lib/datasets/cityscapes.py, `class_weights`.
CITYSCAPES_CLASS_WEIGHTS = (
    *(0.8373, 0.918, 0.866, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786, 1.0023),
    *(0.9539, 0.9843, 1.1116, 0.9037, 1.0865, 1.0955, 1.0865, 1.1529, 1.0507),
)


@dataclasses.dataclass
class Resizing(hyperparams.Config):
    """How images are resized for the network.

    Training then scales them at random; evaluation and exported models do not. It
    belongs to a model like its weights.

    Attributes:
        method: `long_side` brings the longer side to `long_side` pixels, `fixed` both
            to `size`, whatever the aspect ratio (official LIP).
        long_side: Pixels, with `long_side`. In [32, 16384].
        size: [height, width], with `fixed`. Each in [32, 16384].
    """

    method: str = "long_side"
    long_side: int = 512
    size: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Augmentation(hyperparams.Config):
    """Random changes of a training image. The defaults are the official ones.

    Attributes:
        scale_min: Least factor on the size that `resizing` gives. In [0.1, 10].
        scale_max: Greatest factor. In [0.1, 10].
        scale_step: Factors are `scale_min` plus a multiple of this; 0 draws any.
        flip_probability: Chance to be mirrored; the label set's pairs change places. In
            [0, 1].
        color: Changes of colours; none by default.
    """

    scale_min: float = 0.5
    scale_max: float = 2.1
    scale_step: float = 0.1
    flip_probability: float = 0.5
    color: Color = dataclasses.field(default_factory=Color)


@dataclasses.dataclass
class SegmentationData(cfg.DataConfig):
    """Images with a class for every pixel.

    Reads the records of `python -m hrnet_tf.data.segmentation_folder` and its
    siblings, and the Garden's own segmentation records.

    Attributes:
        crop_size: [height, width] cut out of the scaled image in training. Smaller
            images are padded with black below and at the right, which is not learned.
            Each in [32, 16384].
        shuffle_buffer_size: Encoded images to shuffle among. In [1, 1e+07].
        augmentation: Random changes; used when `is_training`.
        padded_size: [height, width] that images are filled to for an evaluation, so
            that all batches have one shape, as TPUs need it; no image may be larger.
            Empty: the largest of each batch. Each in [32, 16384].
    """

    drop_remainder: bool = True
    crop_size: list[int] = dataclasses.field(default_factory=lambda: [512, 512])
    shuffle_buffer_size: int = 1000
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    padded_size: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Losses(semantic_segmentation.Losses):
    """The Garden's losses with the official ones added.

    Attributes:
        ohem: Whether only hard pixels count: those whose own class is given less than
            `ohem_threshold`, or the hardest `ohem_min_kept` of a replica's batch.
        ohem_threshold: A probability. In [0, 1].
        ohem_min_kept: Pixels. In [1, 2147483647].
        auxiliary_weight: Factor on the loss of OCR's first segmentation. In [0, 1e+06].
    """

    ohem: bool = False
    ohem_threshold: float = 0.9
    ohem_min_kept: int = 131072
    auxiliary_weight: float = 0.4


@dataclasses.dataclass
class Evaluation(semantic_segmentation.Evaluation):
    """How images are predicted and scored.

    Attributes:
        flip_test: Whether logits are averaged with those of the mirrored image.
        scales: Factors on the size that `resizing` gives; the scores of all are added.
            Each in [0.1, 10].
        window: [height, width] of a sliding window. An image that is larger in either
            direction is predicted window by window, the scores averaged where windows
            overlap; others are predicted whole. Empty: all are. Each in [32, 16384].
        window_overlap: The share of a window that the next one covers, too. In [0,
            0.95].
        combine: What is added over windows and scales: `exp_logits`, the official
            exp(logits), or `probabilities`, the softmax.
        num_pictures: Images drawn to `predictions.png` in the model directory after an
            evaluation; 0 for none. In [0, 1000].
        report_per_class_iou: Ignored: the IoU of every class is always reported.
        report_train_mean_iou: Whether training reports its mean IoU, which costs time.
    """

    flip_test: bool = False
    scales: list[float] = dataclasses.field(default_factory=lambda: [1.0])
    window: list[int] = dataclasses.field(default_factory=list)
    window_overlap: float = 1 / 3
    combine: str = "exp_logits"
    num_pictures: int = 8
    report_train_mean_iou: bool = False


def _model() -> semantic_segmentation.SemanticSegmentationModel:
    """HRNetV2-W48 with the official settings of its segmentation code."""
    norm_activation = backbones.official_norm_activation()
    norm_activation.use_sync_bn = True
    # Official branch pytorch-v1.1 has 0.01, which torch counts the other way.
    norm_activation.norm_momentum = 0.99
    return semantic_segmentation.SemanticSegmentationModel(
        # As many as the label set has.
        num_classes=0,
        input_size=[None, None, 3],
        min_level=2,
        max_level=5,
        backbone=backbones.Backbone(
            type="hrnet",
            hrnet=backbones.HRNet(model_id="w48", fuse_upsampling="bilinear"),
        ),
        decoder=decoders.Decoder(type="hrnetv2"),
        # With no convolutions of its own, the Garden's head is the classifier alone.
        head=semantic_segmentation.SegmentationHead(level=2, num_convs=0),
        norm_activation=norm_activation,
    )


@dataclasses.dataclass
class SegmentationTask(semantic_segmentation.SemanticSegmentationTask):
    """The segmentation task.

    Attributes:
        label_set: `cityscapes`, `pascal_context`, `pascal_context_60`, `lip`,
            `synthetic_parts` or a YAML file that describes your own classes.
        drop_background: Whether class 0 of the records is ignored and class 1 becomes
            the first: PASCAL-Context with 59 classes.
        model: The network; `num_classes` 0 stands for as many as the label set has.
        init_checkpoint_modules: What to load from `init_checkpoint`: `all`,
            `backbone` or `decoder`, or a list of the latter two.
    """

    label_set: str = "cityscapes"
    drop_background: bool = False
    model: semantic_segmentation.SemanticSegmentationModel = dataclasses.field(
        default_factory=_model
    )
    resizing: Resizing = dataclasses.field(default_factory=Resizing)
    train_data: SegmentationData = dataclasses.field(
        default_factory=lambda: SegmentationData(is_training=True, global_batch_size=16)
    )
    # Sharding off: every worker must score all images, since mIoU is no average.
    validation_data: SegmentationData = dataclasses.field(
        default_factory=lambda: SegmentationData(
            is_training=False, global_batch_size=1, drop_remainder=False, sharding=False
        )
    )
    losses: Losses = dataclasses.field(default_factory=Losses)
    evaluation: Evaluation = dataclasses.field(default_factory=Evaluation)


@exp_factory.register_config_factory("hrnet_seg_cityscapes")
def hrnet_seg_cityscapes() -> cfg.ExperimentConfig:
    """Cityscapes: 484 epochs of batch 12, crops of 512x1024.

    Official experiments/cityscapes, train_512x1024_sgd_lr1e-2_wd5e-4_bs_12_epoch484.
    Steps change with the batch size.
    """
    task = SegmentationTask(
        label_set="cityscapes",
        resizing=Resizing(long_side=2048),
        losses=Losses(
            class_weights=list(CITYSCAPES_CLASS_WEIGHTS), l2_weight_decay=5e-4
        ),
    )
    task.train_data.crop_size = [512, 1024]
    return _experiment(
        task, num_images=2975, batch_size=12, epochs=484, learning_rate=0.01
    )


@exp_factory.register_config_factory("hrnet_seg_pascal_context")
def hrnet_seg_pascal_context() -> cfg.ExperimentConfig:
    """PASCAL-Context, 59 classes: 200 epochs of batch 16, crops of 480x480.

    Official experiments/pascal_ctx, sgd_lr4e-3_wd1e-4_bs_16_epoch200. For 60 classes
    set `task.label_set` to pascal_context_60 and `task.drop_background` to false.
    """
    task = SegmentationTask(
        label_set="pascal_context",
        drop_background=True,
        resizing=Resizing(long_side=520),
        losses=Losses(l2_weight_decay=1e-4),
    )
    task.train_data.crop_size = [480, 480]
    task.evaluation.window = [480, 480]
    return _experiment(
        task, num_images=4998, batch_size=16, epochs=200, learning_rate=0.004
    )


@exp_factory.register_config_factory("hrnet_seg_lip")
def hrnet_seg_lip() -> cfg.ExperimentConfig:
    """LIP, human parsing: 150 epochs of batch 40 at 473x473, scored with the flip test.

    Official experiments/lip, w48_473x473_sgd_lr7e-3_wd5e-4_bs_40_epoch150.
    """
    task = SegmentationTask(
        label_set="lip",
        resizing=Resizing(method="fixed", size=[473, 473]),
        losses=Losses(l2_weight_decay=5e-4),
    )
    task.train_data.crop_size = [473, 473]
    task.train_data.augmentation.scale_max = 1.6
    task.evaluation.flip_test = True
    return _experiment(
        task, num_images=30462, batch_size=40, epochs=150, learning_rate=0.007
    )


@exp_factory.register_config_factory("hrnet_seg_custom")
def hrnet_seg_custom() -> cfg.ExperimentConfig:
    """Your own images and labels: a network and a schedule to start from.

    W18-small-v2 and 512-pixel crops; 20000 steps of batch 16. `task.label_set` names
    the YAML file with your classes.
    """
    task = SegmentationTask(losses=Losses(l2_weight_decay=1e-4))
    task.model.backbone.hrnet.model_id = "w18_small_v2"
    task.model.norm_activation.use_sync_bn = False
    task.model.norm_activation.norm_momentum = 0.9
    config = _experiment(
        task, num_images=1600, batch_size=16, epochs=200, learning_rate=0.01
    )
    config.runtime.distribution_strategy = "one_device"
    return config


def _experiment(
    task: SegmentationTask,
    num_images: int,
    batch_size: int,
    epochs: int,
    learning_rate: float,
) -> cfg.ExperimentConfig:
    """The official schedule: SGD with momentum, polynomial decay at every step."""
    task.train_data.global_batch_size = batch_size
    steps_per_epoch = num_images // batch_size
    train_steps = epochs * steps_per_epoch
    return recipes.experiment(
        task,
        train_steps=train_steps,
        checkpoint_interval=10 * steps_per_epoch,
        validation_interval=10 * steps_per_epoch,
        metric="mean_iou",
        optimizer={"sgd": {"momentum": 0.9}},
        learning_rate={
            "polynomial": {
                "initial_learning_rate": learning_rate,
                "decay_steps": train_steps,
                "end_learning_rate": 0.0,
                "power": 0.9,
            }
        },
    )
