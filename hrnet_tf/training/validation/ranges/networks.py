"""Ranges of networks: backbones, decoders and heads, ours and the Garden's.

Keys are ends of dotted paths; the longest one that a path ends with counts.
"""

from official.vision.modeling.backbones import (
    efficientnet,
    mobiledet,
    mobilenet,
    resnet,
    resnet_deeplab,
    revnet,
    spinenet,
    spinenet_mobile,
    vit,
)

from hrnet_tf.configs import backbones, decoders
from hrnet_tf.training.validation.ranges.kinds import (
    ANY,
    CHANNELS,
    COUNT,
    LAYERS,
    LEVEL,
    PIXELS,
    SHARE,
    SHARE_BELOW_1,
    Range,
    between,
    either,
    matching,
    one_of,
)

ACTIVATIONS = (
    *("elu", "exponential", "gelu", "hard_sigmoid", "hard_swish", "identity"),
    *("leaky_relu", "linear", "mish", "relu", "relu6", "selu", "sigmoid", "silu"),
    *("simple_swish", "softplus", "softsign", "swish", "tanh"),
)
INITIALIZERS = (
    *("glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal"),
    *("lecun_uniform", "ones", "orthogonal", "random_normal", "random_uniform"),
    *("truncated_normal", "variance_scaling", "zeros"),
)
_STEMS = one_of(["v0", "v1"])
_MULTIPLIER = between(0.01, 100)

OURS: dict[str, Range] = {
    "hrnet.model_id": one_of([*backbones.VARIANTS, backbones.CUSTOM]),
    "hrnet.custom.width": between(1, 1024),
    "hrnet.custom.modules": LAYERS.of(3, 3),
    "hrnet.custom.blocks": between(1, 100),
    "hrnet.custom.layer1_planes": between(1, 1024),
    "hrnet.custom.layer1_blocks": between(1, 100),
    "hrnet.custom.stem_width": between(1, 1024),
    "hrnet.fuse_upsampling": one_of(backbones.FUSE_UPSAMPLING),
    "hrnet.kernel_initializer": one_of(backbones.KERNEL_INITIALIZERS),
    "upsampling": one_of(decoders.UPSAMPLING),
    "hrnetv2_ocr.key_filters": CHANNELS,
    "hrnetv2_ocr.dropout_rate": SHARE_BELOW_1,
}

BACKBONES: dict[str, Range] = {
    "backbone.type": ANY,
    "decoder.type": ANY,
    "stem_type": _STEMS,
    "depth_multiplier": _MULTIPLIER,
    "filter_size_scale": _MULTIPLIER,
    "se_ratio": SHARE,
    "expand_ratio": between(1, 100),
    "stochastic_depth_drop_rate": SHARE_BELOW_1,
    "init_stochastic_depth_rate": SHARE_BELOW_1,
    "dropout_rate": SHARE_BELOW_1,
    "attention_dropout_rate": SHARE_BELOW_1,
    "resnet.model_id": one_of(resnet.RESNET_SPECS),
    "dilated_resnet.model_id": one_of(resnet_deeplab.RESNET_SPECS),
    "dilated_resnet.output_stride": one_of([8, 16, 32]),
    "dilated_resnet.multigrid": between(1, 1000).of(1),
    "last_stage_repeats": between(1, 100),
    "revnet.model_id": one_of(revnet.REVNET_SPECS),
    "efficientnet.model_id": one_of(efficientnet.SCALING_MAP),
    "spinenet.model_id": one_of(spinenet.SCALING_MAP),
    "spinenet_mobile.model_id": one_of(spinenet_mobile.SCALING_MAP),
    "mobilenet.model_id": one_of(mobilenet.SUPPORTED_SPECS_MAP),
    "mobilenet.output_stride": one_of([8, 16, 32]),
    "mobiledet.model_id": one_of(mobiledet.SUPPORTED_SPECS_MAP),
    "vit.model_name": one_of(vit.VIT_SPECS),
    "vit.pooler": one_of(["none", "token", "gap"]),
    "vit.representation_size": between(0, 65536),
    "vit.hidden_size": CHANNELS,
    "vit.patch_size": PIXELS,
    "vit.pos_embed_shape": PIXELS,
    "vit.layer_scale_init_value": between(0, 1000),
    "vit.transformer_partition_dims": between(1, 10000),
    "transformer.mlp_dim": CHANNELS,
    "transformer.num_heads": between(1, 1024),
    "transformer.num_layers": between(1, 1000),
}

DECODERS: dict[str, Range] = {
    "num_filters": CHANNELS,
    "fpn.fusion_type": one_of(["sum", "concat"]),
    "nasfpn.num_repeats": between(1, 100),
    "aspp.level": LEVEL,
    "aspp.dilation_rates": between(1, 1000),
    "aspp.pool_kernel_size": PIXELS.of(0, 2),
    "aspp.spp_layer_version": one_of(["v1", "v2"]),
}

MODELS: dict[str, Range] = {
    "model.num_classes": between(0, 10**6),
    "model.input_size": PIXELS.of(0, 3).or_null(),
    "min_level": LEVEL,
    "max_level": between(2, 10),
    "norm_activation.activation": one_of(ACTIVATIONS),
    "norm_activation.norm_momentum": SHARE_BELOW_1,
    # Below, 32-bit floats cannot tell it from 0 beside a variance.
    "norm_activation.norm_epsilon": between(1e-12, 1),
    "model.kernel_initializer": one_of(INITIALIZERS),
    "num_convs": LAYERS,
    # Pose and segmentation.
    "model.head.kernel_size": one_of([1, 3]),
    "head.level": LEVEL,
    "head.prediction_kernel_size": one_of([1, 3, 5, 7]),
    "head.upsample_factor": between(1, 32),
    "head.logit_activation": one_of(["sigmoid", "softmax"]),
    "head.feature_fusion": one_of(
        [
            "deeplabv3plus",
            "deeplabv3plus_sum_to_merge",
            "panoptic_fpn_fusion",
            "pyramid_fusion",
        ]
    ),
    "head.low_level": either(LEVEL, matching("[2-5]/depthwise", "2/depthwise")),
    "head.low_level_num_filters": CHANNELS,
    "head.decoder_min_level": LEVEL,
    "head.decoder_max_level": LEVEL,
    "mask_scoring_head.fc_input_size": PIXELS.of(2, 2),
    "mask_scoring_head.num_fcs": LAYERS,
    "mask_scoring_head.fc_dims": CHANNELS,
}

DETECTORS: dict[str, Range] = {
    "anchor.num_scales": between(1, 16),
    "anchor.aspect_ratios": between(0.01, 100).of(1, 100),
    "anchor.anchor_size": between(0.01, 1000),
    "outer_boxes_scale": between(1, 10),
    "detection_head.num_fcs": LAYERS,
    "detection_head.fc_dims": CHANNELS,
    "roi_generator.pre_nms_top_k": between(1, 10**6),
    "roi_generator.pre_nms_score_threshold": SHARE,
    "roi_generator.pre_nms_min_size_threshold": between(0, 65536),
    "roi_generator.nms_iou_threshold": SHARE,
    "roi_generator.num_proposals": between(1, 10**5),
    "roi_generator.test_pre_nms_top_k": between(1, 10**6),
    "roi_generator.test_pre_nms_score_threshold": SHARE,
    "roi_generator.test_pre_nms_min_size_threshold": between(0, 65536),
    "roi_generator.test_nms_iou_threshold": SHARE,
    "roi_generator.test_num_proposals": between(1, 10**5),
    "roi_sampler.num_sampled_rois": between(1, 10**5),
    "roi_sampler.foreground_fraction": SHARE,
    "roi_sampler.foreground_iou_threshold": SHARE,
    "roi_sampler.background_iou_high_threshold": SHARE,
    "roi_sampler.background_iou_low_threshold": SHARE,
    "roi_sampler.cascade_iou_thresholds": SHARE,
    "roi_aligner.crop_size": between(1, 256),
    "roi_aligner.sample_offset": SHARE,
    "mask_roi_aligner.crop_size": between(1, 256),
    "mask_roi_aligner.sample_offset": SHARE,
    "mask_head.upsample_factor": between(1, 16),
    "mask_sampler.num_sampled_masks": between(1, 10**5),
    "detection_generator.pre_nms_top_k": between(1, 10**6),
    "detection_generator.pre_nms_score_threshold": SHARE,
    "detection_generator.nms_iou_threshold": SHARE,
    "detection_generator.max_num_detections": between(1, 10**5),
    "detection_generator.nms_version": one_of(["v1", "v2", "v3", "batched", "tflite"]),
    "detection_generator.soft_nms_sigma": between(0, 100),
    "detection_generator.box_coder_weights": between(0.001, 1000).of(4, 4),
    "tflite_post_processing.max_detections": between(1, 10**5),
    "tflite_post_processing.max_classes_per_detection": between(1, 10**5),
    "tflite_post_processing.nms_score_threshold": SHARE,
    "tflite_post_processing.nms_iou_threshold": SHARE,
    "tflite_post_processing.detections_per_class": between(1, 10**5),
    "tflite_post_processing.y_scale": between(0.001, 1000),
    "tflite_post_processing.x_scale": between(0.001, 1000),
    "tflite_post_processing.w_scale": between(0.001, 1000),
    "tflite_post_processing.h_scale": between(0.001, 1000),
    "attribute_heads.name": ANY,
    "attribute_heads.type": one_of(["regression", "classification"]),
    "attribute_heads.size": CHANNELS,
    "attribute_heads.prediction_tower_name": ANY,
    "attribute_heads.num_convs": COUNT,
}
