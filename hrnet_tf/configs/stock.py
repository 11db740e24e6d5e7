"""The Garden's own experiments with HRNet among the backbones and decoders to choose.

The Garden's choices are dataclasses with a field per backbone, so that YAML alone
cannot add `hrnet` to one. `NAME_with_hrnet` is the Garden's experiment NAME, unchanged
but for the choices: what it chooses by default is what the Garden chose.

    experiment: semantic_segmentation_with_hrnet
    task:
      model:
        backbone: {type: hrnet, hrnet: {model_id: w18}}
        decoder: {type: hrnetv2}
        head: {level: 2, num_convs: 0, feature_fusion: null}
"""

import functools
from typing import TypeVar

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.modeling import hyperparams

# Importing these registers their experiments.
from official.vision.configs import (  # noqa: F401
    image_classification,
    maskrcnn,
    retinanet,
    semantic_segmentation,
)

from hrnet_tf.configs import backbones, decoders

STOCK = (
    *("image_classification", "resnet_imagenet"),
    *("semantic_segmentation", "seg_deeplabv3_pascal", "seg_deeplabv3plus_cityscapes"),
    *("retinanet", "retinanet_resnetfpn_coco"),
    *(
        "fasterrcnn_resnetfpn_coco",
        "maskrcnn_resnetfpn_coco",
        "cascadercnn_spinenet_coco",
    ),
)

C = TypeVar("C", bound=hyperparams.OneOfConfig)


def with_hrnet(name: str) -> cfg.ExperimentConfig:
    """The Garden's experiment of this name, which can choose HRNet."""
    params = exp_factory.get_exp_config(name)
    model = params.task.model
    model.backbone = _widened(model.backbone, backbones.Backbone())
    if hasattr(model, "decoder"):
        model.decoder = _widened(model.decoder, decoders.Decoder())
    return params


def _widened(stock: hyperparams.OneOfConfig, ours: C) -> C:
    """Our choice, with all settings and the type of the Garden's."""
    for field in vars(stock):
        setattr(ours, field, getattr(stock, field))
    return ours


for _name in STOCK:
    exp_factory.register_config_factory(f"{_name}_with_hrnet")(
        functools.partial(with_hrnet, _name)
    )
