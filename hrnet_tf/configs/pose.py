"""Top-down human pose: its configuration and the `hrnet_pose_coco` experiment."""

import dataclasses
from typing import Any

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.modeling import hyperparams
from official.vision.configs import common

from hrnet_tf.configs import backbones, decoders, recipes
from hrnet_tf.configs.color import Color

# People with labelled keypoints in COCO train2017 after the official filtering; with
# the batch size it turns the paper's epochs into steps.
COCO_TRAIN_PEOPLE = 149813

# What the scale and rotation of a crop may be drawn from.
DISTRIBUTIONS = ("normal", "uniform", "truncated_normal")

# What an evaluation may compute.
METRICS = ("oks", "pckh", "pck", "nme")


@dataclasses.dataclass
class Codec(hyperparams.Config):
    """How keypoints become heatmaps and heatmaps become keypoints.

    Attributes:
        name: `msra` (the paper), `msra_floor` (official weights of faces), `dark` or
            `udp`. A model must be decoded with the codec it was trained with.
        sigma: Standard deviation of a target's Gaussian in heatmap pixels: 2 for
            256x192, 3 for 384x288. In [0.1, 100].
    """

    name: str = "msra"
    sigma: float = 2.0


@dataclasses.dataclass
class HeatmapHead(hyperparams.Config):
    """The heatmap head, one convolution: `kernel_size` is 1 as published, or 3."""

    kernel_size: int = 1


@dataclasses.dataclass
class PoseModel(hyperparams.Config):
    """The network.

    Attributes:
        input_size: [height, width] of a person's crop; multiples of 32. Each in [1,
            16384].
        backbone: The backbone; `hrnet` or any of the Garden's with a level-2 endpoint.
        norm_activation: Activation and batch norm of all layers. The defaults are
            the official ones; the Garden's own differ.
    """

    input_size: list[int] = dataclasses.field(default_factory=lambda: [256, 192])
    backbone: backbones.Backbone = dataclasses.field(
        default_factory=lambda: backbones.Backbone(
            type="hrnet", hrnet=backbones.HRNet(multi_scale_output=False)
        )
    )
    decoder: decoders.Decoder = dataclasses.field(
        default_factory=lambda: decoders.Decoder(type="hrnetv1")
    )
    head: HeatmapHead = dataclasses.field(default_factory=HeatmapHead)
    norm_activation: common.NormActivation = dataclasses.field(
        default_factory=backbones.official_norm_activation
    )


@dataclasses.dataclass
class Augmentation(hyperparams.Config):
    """Random changes of a person's crop in training, in the order they are applied.

    The defaults are official lib/dataset/JointsDataset.py and the COCO recipe.

    Attributes:
        half_body_probability: Chance to crop to the upper or lower body alone. In [0,
            1].
        half_body_min_keypoints: Only people with more labelled keypoints than this. In
            [0, 1000].
        half_body_upper_probability: Chance of the upper rather than the lower body. The
            official code compares a normal, not a uniform, variable with 0.5, which
            makes it 0.69. In [0, 1].
        half_body_padding: Factor on the half body's box, in place of `box_padding`. In
            [0.1, 10].
        shift_probability: Chance to move the crop. In [0, 1].
        shift: It is moved by what is drawn between -shift and shift, normally
            distributed and cut there, times its width and height. In [0, 1].
        distribution: How scale and rotation are drawn. `normal` as in the official
            code of pose, `uniform` as in that of faces, or `truncated_normal` as in
            MMPose.
        scale: `normal`: the crop is scaled by N(1, scale), clipped to 1 - scale and 1 +
            scale; otherwise by what is drawn between these. In [0, 1).
        rotation: `normal`: it is turned by N(0, rotation) degrees, clipped to twice
            that; otherwise by what is drawn between -rotation and rotation. In [0,
            360].
        rotation_probability: Chance to be turned at all. In [0, 1].
        flip_probability: Chance to be mirrored, left and right keypoints swapped. In
            [0, 1].
        color: Changes of colours; none by default.
    """

    half_body_probability: float = 0.3
    half_body_min_keypoints: int = 8
    half_body_upper_probability: float = 0.69
    half_body_padding: float = 1.5
    shift_probability: float = 0.0
    shift: float = 0.0
    distribution: str = "normal"
    scale: float = 0.35
    rotation: float = 45.0
    rotation_probability: float = 0.6
    flip_probability: float = 0.5
    color: Color = dataclasses.field(default_factory=Color)


@dataclasses.dataclass
class PoseData(cfg.DataConfig):
    """Where people come from. Reads records of `python -m hrnet_tf.data.coco_pose`.

    Attributes:
        shuffle_buffer_size: Encoded images to shuffle among. In [1, 1e+07].
        crop_shuffle_buffer_size: Crops to shuffle among, so that people of one image
            land in different batches. In [1, 1e+07].
        box_padding: Factor on a person's box once it has the crop's aspect ratio. In
            [0.1, 10].
        augmentation: Random changes; used when `is_training`.
        crop_with_opencv: Whether OpenCV crops people for training, in Python: faster,
            and a grey level different here and there; see `data.inputs.opencv_crops`.
            Null: if this process reads the input, and not a tf.data service or
            parameter server, which cannot.
        detections_file: COCO results JSON of person boxes to evaluate on. Empty:
            ground-truth boxes. Not used in training.
        detections_category_id: Which of the file's categories to take, a number or a
            list. Null or []: those that are evaluated.
        detection_score_threshold: Boxes that score lower are left out. In [-1e+06,
            1e+06].
    """

    drop_remainder: bool = True
    shuffle_buffer_size: int = 1000
    crop_shuffle_buffer_size: int = 1000
    box_padding: float = 1.25
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    crop_with_opencv: bool | None = None
    detections_file: str = ""
    detections_category_id: int | list[int] | None = None
    detection_score_threshold: float = 0.0


@dataclasses.dataclass
class Evaluation(hyperparams.Config):
    """How predictions are made and scored. The defaults are the official protocol.

    Attributes:
        annotation_file: The COCO keypoint JSON that `validation_data` was made from.
        category_id: Which of its categories to evaluate; several, which must share the
            skeleton, become one. Null or []: as the records were converted, or else
            the only category that has keypoints.
        area_from: `box` or `segmentation`, where the area of people comes from who
            have none; `crowdpose` for 0.53 of the box of all, as CrowdPose's evaluation
            has it. Empty: as the records were converted.
        metric: `oks`, COCO's AP; `pckh`, the share of keypoints that are off by less
            than half a head, as for MPII; `pck`, the same by another length; or `nme`,
            the mean error of faces' landmarks. All but `oks` are of annotated boxes.
        normalizer: The length that `pck` and `nme` divide errors by: two keypoints
            [name, name], whose distance it is; `annotations`, what these have as
            `normalizer`; `bbox_side`, the longer side of the box; `bbox_size`, the root
            of its width times height. Empty: the skeleton's, or else of `pck` the
            longer side.
        thresholds: What an error is compared with, in such lengths. Up to it a keypoint
            is right with `pckh` and `pck`, above it a face has failed with `nme`.
            Empty: 0.2 for `pck`, 0.1 for `nme`, and MPII's two for `pckh`, of which the
            official code has 0.11 where it says 0.1. Each in [0.0001, 10].
        flip_test: Whether to average heatmaps with those of the mirrored crop.
        keypoint_score_threshold: A person's score is its box's score times the mean of
            the keypoint scores above this. In [0, 1].
        oks_nms_threshold: If two people in one image have a higher object keypoint
            similarity than this, the lower-scoring one is dropped. In [0, 1].
        soft_oks_nms: Whether to lower scores of similar people instead. Like the two
            before, with `oks` alone.
        num_pictures: Images drawn to `predictions.png` in the model directory after an
            evaluation; 0 for none. In [0, 1000].
        report: Whether an evaluation is explained: which errors, of what and on whom,
            printed below the metrics, with pictures in `report.html` and the numbers in
            `report.json`. Null: with --mode=eval alone.
    """

    annotation_file: str = ""
    category_id: int | list[int] | None = None
    area_from: str = ""
    metric: str = "oks"
    normalizer: str | list[str] = ""
    thresholds: list[float] = dataclasses.field(default_factory=list)
    flip_test: bool = True
    keypoint_score_threshold: float = 0.2
    oks_nms_threshold: float = 0.9
    soft_oks_nms: bool = False
    num_pictures: int = 8
    report: bool | None = None


@dataclasses.dataclass
class Loss(hyperparams.Config):
    """What training makes small. The default is the paper's.

    Attributes:
        name: `mse`, the mean squared error of all heatmaps, or `ohkm`, that of the
            hardest keypoints of each person alone.
        top_k: How many keypoints are the hardest, with `ohkm`. In [1, 1000].
        keypoint_weights: A factor for each keypoint of the skeleton, in its order;
            empty for 1. As in the official code, it stands inside the square. Each in
            [0, 1e+06].
    """

    name: str = "mse"
    top_k: int = 8
    keypoint_weights: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class PoseTask(cfg.TaskConfig):
    """The pose task.

    Attributes:
        skeleton: The name of one that is built in, such as `coco17` or `mpii16`, or a
            YAML file that describes your own.
        weight_decay: Factor of L2 regularisation on all kernels. The paper's pose
            recipe has none, and adding it is known to ruin training. In [0, 1000].
        loss: What is made small besides.
        init_checkpoint_modules: What to load from `init_checkpoint`: `all`,
            `backbone` or `decoder`, or a list of the latter two.
    """

    skeleton: str = "coco17"
    model: PoseModel = dataclasses.field(default_factory=PoseModel)
    codec: Codec = dataclasses.field(default_factory=Codec)
    train_data: PoseData = dataclasses.field(
        default_factory=lambda: PoseData(is_training=True, global_batch_size=128)
    )
    # Sharding off: every worker must score all people, since AP is no average.
    validation_data: PoseData = dataclasses.field(
        default_factory=lambda: PoseData(
            is_training=False,
            global_batch_size=128,
            drop_remainder=False,
            sharding=False,
        )
    )
    evaluation: Evaluation = dataclasses.field(default_factory=Evaluation)
    weight_decay: float = 0.0
    loss: Loss = dataclasses.field(default_factory=Loss)
    init_checkpoint_modules: str | list[str] = "all"
    allow_image_summary: bool = True


def experiment(
    task: PoseTask,
    *,
    train_people: int,
    learning_rate: float,
    epochs: int = 210,
    boundaries: tuple[int, int] = (170, 200),
    validation_epochs: int = 10,
    warmup: dict[str, Any] | None = None,
    metric: str = "keypoint_AP",
    lower_is_better: bool = False,
) -> cfg.ExperimentConfig:
    """A recipe counted in epochs of `train_people`: Adam, divided by ten twice.

    `metric` chooses the best checkpoint.
    """
    steps_per_epoch = train_people // task.train_data.global_batch_size

    def steps(epochs: int) -> int:
        return epochs * steps_per_epoch

    return recipes.experiment(
        task,
        train_steps=steps(epochs),
        checkpoint_interval=steps_per_epoch,
        validation_interval=steps(validation_epochs),
        metric=metric,
        lower_is_better=lower_is_better,
        optimizer={"adam": {"epsilon": 1e-8}},
        learning_rate=recipes.stepwise(
            learning_rate, [steps(boundary) for boundary in boundaries]
        ),
        warmup=warmup,
    )


@exp_factory.register_config_factory("hrnet_pose_coco")
def hrnet_pose_coco() -> cfg.ExperimentConfig:
    """The paper's COCO recipe: W32, 256x192, 210 epochs of batch 128.

    Official experiments/coco/hrnet/w32_256x192_adam_lr1e-3.yaml. Learning-rate
    boundaries and `train_steps` are counted in steps: change them with the batch size.
    """
    return experiment(PoseTask(), train_people=COCO_TRAIN_PEOPLE, learning_rate=1e-3)
