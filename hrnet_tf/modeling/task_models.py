"""The whole networks of all tasks, as the official repositories build them.

One function per kind of model. Published networks of a task differ in the variant of
the backbone, the widths of the decoder and the number of keypoints or classes.
"""

import dataclasses
import re
from typing import Any, TypeAlias

import tf_keras
from official.vision.configs import image_classification as classification_config
from official.vision.configs import maskrcnn
from official.vision.configs import semantic_segmentation as segmentation_config
from official.vision.modeling import factory
from official.vision.modeling.backbones import factory as backbone_factory
from official.vision.modeling.decoders import factory as decoder_factory

from hrnet_tf.configs import backbones, decoders, pose
from hrnet_tf.configs.variants import family_of

# Backbones and decoders are built by name: importing these registers them.
from hrnet_tf.modeling import (  # noqa: F401
    hrnet,
    iterative_decoder,
    litehrnet,
    ocr,
    representations,
)
from hrnet_tf.modeling.backbone import ParallelBackbone
from hrnet_tf.modeling.pose_model import build_pose_model
from hrnet_tf.modeling.segmentation_model import build_segmentation_model

# (height, width) of images in pixels; None where they vary.
ImageSize: TypeAlias = tuple[int | None, int | None]
ANY_SIZE: ImageSize = (None, None)


def images(size: ImageSize = ANY_SIZE) -> tf_keras.layers.InputSpec:
    """What a network takes: [B, H, W, 3]."""
    return tf_keras.layers.InputSpec(shape=[None, *size, 3])


# The decoder of official pose networks, by family.
POSE_DECODERS = {"hrnet": "hrnetv1", "litehrnet": "litehrnet"}

# How the names of the backbone's layers begin. A transition makes the branch that the
# next stage needs, and is counted with that stage.
_STAGES = {
    "stem": r"stem_",
    "stage 1": r"layer1_",
    "stage 2": r"transition1_|stage2_",
    "stage 3": r"transition2_|stage3_",
    "stage 4": r"transition3_|stage4_",
    "neck": r"classification_neck",
}


@dataclasses.dataclass(frozen=True)
class TaskModel:
    """A network and its parts.

    Attributes:
        model: Maps normalised images [B, H, W, 3] to the task's outputs.
        backbone: Its HRNet or Lite-HRNet.
        decoder: The layer between backbone and head; None in classification, where the
            backbone itself merges its branches, in its neck.
        head: The layer that makes the outputs; None in detection, where heads belong to
            the detector.
    """

    model: tf_keras.Model
    backbone: ParallelBackbone
    decoder: tf_keras.layers.Layer | None
    head: tf_keras.layers.Layer | None

    def stages(self) -> dict[str, list[tf_keras.layers.Layer]]:
        """The layers of every stage, in the order in which an image passes them.

        Stages are `stem`, `stage 1` to `stage 4`, `neck` (the decoder or the
        classification neck) and `head`; those without trainable weights are left out.
        """
        stages = {
            stage: [
                layer for layer in self.backbone.layers if re.match(names, layer.name)
            ]
            for stage, names in _STAGES.items()
        }
        if self.decoder is not None:
            stages["neck"].append(self.decoder)
        stages["head"] = [] if self.head is None else [self.head]
        return {
            stage: layers
            for stage, layers in stages.items()
            if any(layer.trainable_weights for layer in layers)
        }


def build(
    task: str, model_id: str, num_outputs: int, input_size: ImageSize = ANY_SIZE
) -> TaskModel:
    """The official network of a task of `RECIPES` and one of `ALL_VARIANTS`.

    `num_outputs` is the number of keypoints or classes; detection has none.
    """
    if task == "pose":
        body = named_backbone(model_id)
        if body.type == "hrnet":
            body.hrnet.multi_scale_output = False
        return build_pose(body, num_outputs, input_size=input_size)

    def backbone(**options: Any) -> backbones.Backbone:
        config = backbones.HRNet(model_id=model_id, **options)
        return backbones.Backbone(type="hrnet", hrnet=config)

    if task == "face":
        body = backbone(fuse_upsampling="bilinear")
        mixed = decoders.Decoder(type="hrnetv2")
        return build_pose(body, num_outputs, input_size=input_size, decoder=mixed)
    if task == "classification":
        body = backbone(classification_neck=True)
        return build_classification(body, num_outputs, input_size)
    if task == "detection":
        pyramid = decoders.Decoder(type="hrnetv2p")
        return build_detection(backbone(), pyramid, input_size=input_size)
    is_ocr = task == "segmentation_ocr"
    body = backbone(fuse_upsampling="bilinear_align_corners" if is_ocr else "bilinear")
    decoder = decoders.Decoder(type="hrnetv2_ocr" if is_ocr else "hrnetv2")
    return build_segmentation(body, decoder, num_outputs, input_size)


def named_backbone(model_id: str) -> backbones.Backbone:
    """The configuration of a published backbone, whatever its family."""
    backbone = backbones.Backbone(type=family_of(model_id))
    backbone.get().model_id = model_id
    return backbone


def build_backbone(
    backbone: backbones.Backbone, input_size: ImageSize = ANY_SIZE
) -> TaskModel:
    """A body alone, with all of its endpoints."""
    body = backbone_factory.build_backbone(
        images(input_size), backbone, backbones.official_norm_activation()
    )
    return TaskModel(body, body, decoder=None, head=None)


def build_pose(
    backbone: backbones.Backbone,
    num_keypoints: int,
    kernel_size: int = 1,
    input_size: ImageSize = ANY_SIZE,
    decoder: decoders.Decoder | None = None,
) -> TaskModel:
    """A decoder, by default that of the backbone's family, and a heatmap head.

    The head is one `kernel_size` x `kernel_size` convolution.
    """
    config = pose.PoseModel(
        backbone=backbone,
        decoder=decoder or decoders.Decoder(type=POSE_DECODERS[backbone.type]),
        head=pose.HeatmapHead(kernel_size=kernel_size),
    )
    config.override({"input_size": list(input_size)})
    model = build_pose_model(config, num_keypoints)
    return TaskModel(model, model.backbone, model.decoder, model.head)


def build_classification(
    backbone: backbones.Backbone, num_classes: int, input_size: ImageSize = ANY_SIZE
) -> TaskModel:
    """HRNet-W-C: a backbone with `classification_neck`, pooled, and a linear layer."""
    model = factory.build_classification_model(
        images(input_size),
        classification_config.ImageClassificationModel(
            num_classes=num_classes,
            backbone=backbone,
            norm_activation=backbones.official_norm_activation(),
        ),
    )
    return TaskModel(model, model.backbone, decoder=None, head=model.layers[-1])


def build_segmentation(
    backbone: backbones.Backbone,
    decoder: decoders.Decoder,
    num_classes: int,
    input_size: ImageSize = ANY_SIZE,
) -> TaskModel:
    """The decoder `hrnetv2` or `hrnetv2_ocr`, and a 1x1 convolution to the classes."""
    model = build_segmentation_model(
        segmentation_config.SemanticSegmentationModel(
            num_classes=num_classes,
            input_size=[*input_size, 3],
            backbone=backbone,
            decoder=decoder,
            head=segmentation_config.SegmentationHead(
                level=2, num_convs=0, feature_fusion=None
            ),
            norm_activation=backbones.official_norm_activation(),
        )
    )
    return TaskModel(model, model.backbone, model.decoder, model.head)


def build_detection(
    backbone: backbones.Backbone,
    decoder: decoders.Decoder,
    max_level: int = 6,
    input_size: ImageSize = ANY_SIZE,
) -> TaskModel:
    """The part that all detectors share: HRNet and the pyramid from level 2 on."""
    body = build_backbone(backbone, input_size).backbone
    pyramid = decoder_factory.build_decoder(
        body.output_specs,
        maskrcnn.MaskRCNN(decoder=decoder, min_level=2, max_level=max_level),
    )
    model = tf_keras.Model(body.input, pyramid(body.output))
    return TaskModel(model, body, decoder=pyramid, head=None)
