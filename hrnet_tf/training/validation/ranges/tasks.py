"""Ranges of what tasks add: augmentation, parsing, losses, evaluation.

Keys are ends of dotted paths; the longest one that a path ends with counts.
"""

from hrnet_tf.configs import pose, segmentation
from hrnet_tf.losses.heatmap import LOSSES
from hrnet_tf.ops.codecs import CODECS
from hrnet_tf.training.validation.ranges.kinds import (
    ANY,
    COUNT,
    IDENTIFIER,
    PIXELS,
    SHARE,
    SHARE_ABOVE_0,
    SHARE_BELOW_1,
    Range,
    between,
    either,
    one_of,
    only,
)

# Where areas may come from that the annotation file lacks.
AREAS = ("", "box", "segmentation", "crowdpose")
_OPERATIONS = (
    *("AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize"),
    *("Color", "Contrast", "Brightness", "Sharpness", "ShearX", "ShearY"),
    *("TranslateX", "TranslateY", "Cutout", "SolarizeAdd"),
)
_WEIGHT = between(0, 1e6)
_DELTA = between(1e-6, 1e6)
_FACTOR = between(0.1, 10)
# Sides of images that leave something after HRNet's stride of 32.
_SIDE = between(32, 16384)

POSE: dict[str, Range] = {
    "task.skeleton": ANY,
    "task.weight_decay": between(0, 1000),
    "codec.name": one_of(CODECS),
    "codec.sigma": between(0.1, 100),
    "box_padding": between(0.1, 10),
    "detections_file": ANY,
    "detections_category_id": COUNT,
    "detection_score_threshold": between(-1e6, 1e6),
    "augmentation.half_body_probability": SHARE,
    "augmentation.half_body_min_keypoints": between(0, 1000),
    "augmentation.half_body_upper_probability": SHARE,
    "augmentation.half_body_padding": between(0.1, 10),
    "augmentation.shift_probability": SHARE,
    "augmentation.shift": SHARE,
    "augmentation.distribution": one_of(pose.DISTRIBUTIONS),
    "augmentation.scale": SHARE_BELOW_1,
    "augmentation.rotation": between(0, 360),
    "augmentation.rotation_probability": SHARE,
    "augmentation.flip_probability": SHARE,
    "color.brightness": SHARE_BELOW_1,
    "color.contrast": SHARE_BELOW_1,
    "color.saturation": SHARE_BELOW_1,
    "color.hue": between(0, 0.5),
    "loss.name": one_of(LOSSES),
    "loss.top_k": between(1, 1000),
    "loss.keypoint_weights": _WEIGHT,
    "evaluation.annotation_file": ANY,
    "evaluation.category_id": COUNT,
    "evaluation.area_from": one_of(AREAS),
    "evaluation.metric": one_of(pose.METRICS),
    "evaluation.normalizer": ANY,
    "evaluation.thresholds": between(0.0001, 10).of(0, 100),
    "evaluation.keypoint_score_threshold": SHARE,
    "evaluation.oks_nms_threshold": SHARE,
    "evaluation.num_pictures": between(0, 1000),
    "evaluation.picture_score_threshold": SHARE,
}

SEGMENTATION: dict[str, Range] = {
    "task.label_set": ANY,
    "resizing.method": one_of(segmentation.RESIZING_METHODS),
    "resizing.long_side": _SIDE,
    "resizing.size": _SIDE.of(0, 2),
    "crop_size": _SIDE.of(0, 2),
    "padded_size": _SIDE.of(0, 2),
    "augmentation.scale_min": _FACTOR,
    "augmentation.scale_max": _FACTOR,
    "augmentation.scale_step": either(one_of([0]), between(0.001, 100)),
    "losses.ignore_label": between(0, 255),
    "losses.top_k_percent_pixels": SHARE_ABOVE_0,
    "losses.mask_scoring_weight": _WEIGHT,
    "losses.ohem_threshold": SHARE,
    "losses.ohem_min_kept": between(1, 2**31 - 1),
    "losses.auxiliary_weight": _WEIGHT,
    "evaluation.scales": _FACTOR.of(1, 100),
    "evaluation.window": _SIDE.of(0, 2),
    "evaluation.window_overlap": between(0, 0.95),
    "evaluation.combine": one_of(segmentation.COMBINATIONS),
}

LOSSES_AND_SCORES: dict[str, Range] = {
    "task.name": IDENTIFIER,
    "task.init_checkpoint": ANY,
    "task.init_checkpoint_modules": ANY,
    "task.annotation_file": ANY,
    "task.allowed_mask_class_ids": COUNT,
    "task.max_num_eval_detections": COUNT,
    "task.train_input_partition_dims": between(1, 10000),
    "task.eval_input_partition_dims": between(1, 10000),
    "task.model_output_keys": COUNT,
    "losses.loss_weight": between(1e-6, 1e6),
    "losses.label_smoothing": SHARE_BELOW_1,
    "losses.l2_weight_decay": between(0, 1000),
    "losses.class_weights": _WEIGHT,
    "losses.rpn_huber_loss_delta": _DELTA,
    "losses.frcnn_huber_loss_delta": _DELTA,
    "losses.huber_loss_delta": _DELTA,
    "losses.frcnn_class_loss_top_k_percent": SHARE_ABOVE_0,
    "losses.rpn_score_weight": _WEIGHT,
    "losses.rpn_box_weight": _WEIGHT,
    "losses.frcnn_class_weight": _WEIGHT,
    "losses.frcnn_box_weight": _WEIGHT,
    "losses.mask_weight": _WEIGHT,
    "losses.focal_loss_alpha": SHARE,
    "losses.focal_loss_gamma": between(0, 100),
    "losses.box_loss_weight": between(0, 10**6),
    "evaluation.top_k": between(1, 10**6),
    "evaluation.precision_and_recall_thresholds": SHARE,
}

PARSERS: dict[str, Range] = {
    "simple_decoder.mask_binarize_threshold": SHARE,
    "label_map_decoder.mask_binarize_threshold": SHARE,
    # Our records have no attributes of objects.
    "simple_decoder.attribute_names": ANY.of(0, 0),
    "label_map_decoder.label_map": ANY,
    "train_data.decoder.type": one_of(["simple_decoder", "label_map_decoder"]),
    "validation_data.decoder.type": one_of(["simple_decoder", "label_map_decoder"]),
    "parser.num_channels": one_of([3]),
    "parser.match_threshold": SHARE,
    "parser.unmatched_threshold": SHARE,
    "parser.rpn_match_threshold": SHARE,
    "parser.rpn_unmatched_threshold": SHARE,
    "parser.rpn_batch_size_per_im": between(1, 10**5),
    "parser.rpn_fg_fraction": SHARE,
    "parser.mask_crop_size": PIXELS,
    "parser.max_num_instances": between(1, 10000),
    "parser.aug_scale_min": _FACTOR,
    "parser.aug_scale_max": _FACTOR,
    "parser.aug_policy": ANY,  # Not used by the Garden, either.
    "parser.pad": only(True, "batches hold images of one size"),
    "parser.keep_aspect_ratio": only(True, "boxes are scaled by one factor"),
    # Image classification.
    "image_field_key": ANY,
    "label_field_key": ANY,
    "crop_area_range": SHARE_ABOVE_0.of(2, 2),
    "color_jitter": SHARE,
    "aug_policy": one_of(["autoaug", "randaug"]),
    "randaug_magnitude": between(0, 10),
    "center_crop_fraction": SHARE_ABOVE_0,
    "tf_resize_method": one_of(
        [
            *("area", "bicubic", "bilinear", "gaussian", "lanczos3", "lanczos5"),
            *("mitchellcubic", "nearest"),
        ]
    ),
    "repeated_augment": between(1, 100),
}

AUGMENTERS: dict[str, Range] = {
    "aug_type.type": ANY,
    "randaug.num_layers": between(1, 100),
    "randaug.magnitude": between(0, 10),
    "randaug.cutout_const": between(0, 10000),
    "randaug.translate_const": between(0, 10000),
    "randaug.magnitude_std": between(0, 10),
    "randaug.prob_to_apply": SHARE,
    "randaug.exclude_ops": one_of(_OPERATIONS).of(0, len(_OPERATIONS) - 1),
    "autoaug.augmentation_name": one_of(
        [
            *("v0", "test", "simple", "detection_v0", "reduced_cifar10", "svhn"),
            *(
                "reduced_imagenet",
                "panoptic_deeplab_policy",
                "vit",
                "deit3_three_augment",
            ),
        ]
    ),
    "autoaug.cutout_const": between(0, 10000),
    "autoaug.translate_const": between(0, 10000),
    "ssd_random_crop_params.min_object_covered": SHARE,
    "ssd_random_crop_params.min_box_overlap": SHARE,
    "ssd_random_crop_params.prob_to_apply": SHARE,
    "ssd_random_crop.aspect_ratio_range": _FACTOR.of(2, 2),
    "ssd_random_crop.area_range": SHARE_ABOVE_0.of(2, 2),
    "random_erasing.probability": SHARE,
    "random_erasing.min_area": SHARE_ABOVE_0,
    "random_erasing.max_area": SHARE_ABOVE_0,
    "random_erasing.min_aspect": _FACTOR,
    "mixup_and_cutmix.mixup_alpha": between(0, 1000),
    "mixup_and_cutmix.cutmix_alpha": between(0, 1000),
    "mixup_and_cutmix.prob": SHARE,
    "mixup_and_cutmix.switch_prob": SHARE,
    "mixup_and_cutmix.label_smoothing": SHARE_BELOW_1,
    "aug_rand_jpeg.min_quality": between(0, 100),
    "aug_rand_jpeg.max_quality": between(0, 100),
    "aug_rand_jpeg.prob_to_apply": SHARE,
}
