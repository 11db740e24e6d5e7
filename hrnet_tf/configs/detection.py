"""Detection and instance segmentation with HRNetV2p: tasks and experiments.

The detectors are the Garden's own: its configurations of Faster, Mask and Cascade R-CNN
and of RetinaNet with our backbone and decoder. Its tasks gain what evaluations report.
"""

import dataclasses

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.modeling import hyperparams
from official.vision.configs import maskrcnn, retinanet

from hrnet_tf.configs import backbones, decoders, recipes

COCO_TRAIN_IMAGES = 118287
# COCO's ids of its 80 categories go up to 90; 0 is the background.
COCO_CLASSES = 91

# IoU thresholds of the later stages of a cascade; the first stage has 0.5.
CASCADE_IOU_THRESHOLDS = (0.6, 0.7)


@dataclasses.dataclass
class Evaluation(hyperparams.Config):
    """What an evaluation scores, and what it writes besides metrics.

    Attributes:
        category_id: Which categories to score, a number or a list. Null or []: all.
        num_pictures: Validation images to draw into predictions.png; 0 for none. In [0,
            1000].
        picture_score_threshold: Detections that score less are not drawn. In [0, 1].
    """

    category_id: int | list[int] | None = None
    num_pictures: int = 8
    picture_score_threshold: float = 0.5


@dataclasses.dataclass
class MaskRCNNTask(maskrcnn.MaskRCNNTask):
    """The Garden's task of Faster, Mask and Cascade R-CNN, with our evaluation."""

    evaluation: Evaluation = dataclasses.field(default_factory=Evaluation)


@dataclasses.dataclass
class RetinaNetTask(retinanet.RetinaNetTask):
    """The Garden's task of RetinaNet, with our evaluation."""

    evaluation: Evaluation = dataclasses.field(default_factory=Evaluation)


@exp_factory.register_config_factory("hrnet_fasterrcnn_coco")
def hrnet_fasterrcnn_coco() -> cfg.ExperimentConfig:
    """Faster R-CNN, W32, the paper's 1x recipe: 12 epochs of batch 16.

    Official HRNet-Object-Detection, configs/hrnet: SGD at 0.02 for batches of 16, a
    tenth of it at epochs 8 and 11, weight decay 1e-4, gradients clipped to a norm of
    35, linear warm-up over 500 steps from a third; the backbone starts from ImageNet
    weights and keeps their norm statistics. Boundaries and `train_steps` are counted in
    steps: change them with the batch size.

    The official code fits images into 1333x800. The Garden's canvas is one size for
    all: with 1088x1088 COCO's images, mostly 640x480, become 1088x816, which is nearest
    to 1067x800 among multiples of 64.
    """
    task = _rcnn_task(
        maskrcnn.MaskRCNN(
            include_mask=False, mask_head=None, mask_sampler=None, mask_roi_aligner=None
        )
    )
    return _experiment(task, epochs=12, boundaries=(8, 11))


@exp_factory.register_config_factory("hrnet_maskrcnn_coco")
def hrnet_maskrcnn_coco() -> cfg.ExperimentConfig:
    """Mask R-CNN, W32: as `hrnet_fasterrcnn_coco`, with masks."""
    return _experiment(_rcnn_task(maskrcnn.MaskRCNN()), epochs=12, boundaries=(8, 11))


@exp_factory.register_config_factory("hrnet_cascadercnn_coco")
def hrnet_cascadercnn_coco() -> cfg.ExperimentConfig:
    """Cascade R-CNN, W32: three heads of rising IoU, 20 epochs, tenths at 16 and 19.

    With `model.include_mask=true` it has masks, too, from one mask head.
    """
    model = maskrcnn.MaskRCNN(include_mask=False)
    model.roi_sampler.cascade_iou_thresholds = list(CASCADE_IOU_THRESHOLDS)
    model.detection_head.class_agnostic_bbox_pred = True
    model.detection_head.cascade_class_ensemble = True
    return _experiment(_rcnn_task(model), epochs=20, boundaries=(16, 19))


@exp_factory.register_config_factory("hrnet_retinanet_coco")
def hrnet_retinanet_coco() -> cfg.ExperimentConfig:
    """RetinaNet, W32, on levels 3 to 7, 12 epochs of batch 16 at 0.01.

    The paper has no RetinaNet: levels, anchors and losses are the Garden's, the rate is
    that of RetinaNet's own paper, and the rest as in `hrnet_fasterrcnn_coco`. Sides of
    images must be multiples of 128.
    """
    task = RetinaNetTask(
        model=retinanet.RetinaNet(
            num_classes=COCO_CLASSES,
            input_size=[1024, 1024, 3],
            min_level=3,
            max_level=7,
            backbone=_backbone(),
            decoder=decoders.Decoder(type="hrnetv2p"),
            norm_activation=backbones.official_norm_activation(),
        ),
        losses=retinanet.Losses(l2_weight_decay=1e-4),
        init_checkpoint_modules="backbone",
        train_data=_train_data(retinanet.DataConfig, retinanet.Parser),
        validation_data=_validation_data(retinanet.DataConfig),
    )
    return _experiment(task, epochs=12, boundaries=(8, 11), learning_rate=0.01)


def _rcnn_task(model: maskrcnn.MaskRCNN) -> MaskRCNNTask:
    """Completes a model with what all R-CNNs have in common, and makes its task."""
    model.num_classes = COCO_CLASSES
    model.input_size = [1088, 1088, 3]
    model.min_level, model.max_level = 2, 6
    model.backbone = _backbone()
    model.decoder = decoders.Decoder(type="hrnetv2p")
    model.norm_activation = backbones.official_norm_activation()
    # The official box head is two linear layers; the Garden's has convolutions.
    model.detection_head.num_convs, model.detection_head.num_fcs = 0, 2
    model.roi_generator.num_proposals = 2000
    return MaskRCNNTask(
        model=model,
        losses=maskrcnn.Losses(l2_weight_decay=1e-4),
        init_checkpoint_modules="backbone",
        train_data=_train_data(maskrcnn.DataConfig, maskrcnn.Parser),
        validation_data=_validation_data(maskrcnn.DataConfig),
    )


def _backbone() -> backbones.Backbone:
    return backbones.Backbone(
        type="hrnet", hrnet=backbones.HRNet(model_id="w32", freeze_norm_statistics=True)
    )


def _train_data(
    data: type[cfg.DataConfig], parser: type[hyperparams.Config]
) -> cfg.DataConfig:
    # No random scales: the Garden would mirror by the same random number.
    return data(
        is_training=True,
        global_batch_size=16,
        dtype="float32",
        parser=parser(aug_rand_hflip=True, aug_scale_min=1.0, aug_scale_max=1.0),
        # Encoded images with their masks: 10000 would take gigabytes.
        shuffle_buffer_size=1000,
    )


def _validation_data(data: type[cfg.DataConfig]) -> cfg.DataConfig:
    # Every image is scored, those of the last, smaller batch too.
    return data(
        is_training=False, global_batch_size=8, dtype="float32", drop_remainder=False
    )


def _experiment(
    task: cfg.TaskConfig,
    epochs: int,
    boundaries: tuple[int, int],
    learning_rate: float = 0.02,
) -> cfg.ExperimentConfig:
    steps_per_epoch = COCO_TRAIN_IMAGES // task.train_data.global_batch_size
    return recipes.experiment(
        task,
        train_steps=epochs * steps_per_epoch,
        checkpoint_interval=steps_per_epoch,
        validation_interval=steps_per_epoch,
        metric="AP",
        optimizer={"sgd": {"momentum": 0.9, "global_clipnorm": 35.0}},
        learning_rate=recipes.stepwise(
            learning_rate, [steps_per_epoch * epoch for epoch in boundaries]
        ),
        warmup={
            "linear": {"warmup_steps": 500, "warmup_learning_rate": learning_rate / 3}
        },
    )
