"""The pose task's experiments for other keypoints than COCO's: bodies, faces, animals.

Steps are counted as in `hrnet_pose_coco`: with another batch size, change them.
"""

from official.core import config_definitions as cfg
from official.core import exp_factory

from hrnet_tf.configs import pose
from hrnet_tf.configs.backbones import Backbone, HRNet, official_norm_activation
from hrnet_tf.configs.decoders import Decoder

# People, faces and animals of the training sets. CrowdPose's are those of trainval; its
# number, and AP-10K's, are about right.
MPII_TRAIN_PEOPLE = 22246
WFLW_TRAIN_FACES = 7500
CROWDPOSE_TRAIN_PEOPLE = 43400
AP10K_TRAIN_ANIMALS = 9120


@exp_factory.register_config_factory("hrnet_pose_mpii")
def hrnet_pose_mpii() -> cfg.ExperimentConfig:
    """The paper's MPII recipe: W32, 256x256, 210 epochs of batch 128.

    Official experiments/mpii/hrnet/w32_256x256_adam_lr1e-3.yaml.
    """
    task = pose.PoseTask(skeleton="mpii16")
    task.model.input_size = [256, 256]
    augmentation = task.train_data.augmentation
    augmentation.half_body_probability = 0.0
    augmentation.scale = 0.25
    augmentation.rotation = 30.0
    task.evaluation.metric = "pckh"
    return pose.experiment(
        task,
        train_people=MPII_TRAIN_PEOPLE,
        learning_rate=1e-3,
        metric="PCKh@0.5",
    )


@exp_factory.register_config_factory("hrnet_face_wflw")
def hrnet_face_wflw() -> cfg.ExperimentConfig:
    """The official recipe of faces: HRNetV2-W18, 256x256, 60 epochs of batch 16.

    HRNet-Facial-Landmark-Detection experiments/wflw/face_alignment_wflw_hrnet_w18.yaml
    and lib/datasets/wflw.py. Crops and targets are this project's, as in MMPose.
    """
    task = pose.PoseTask(skeleton="wflw98")
    task.model = face_model()
    task.codec.sigma = 1.5
    task.train_data.global_batch_size = 16
    task.validation_data.global_batch_size = 16
    augmentation = task.train_data.augmentation
    augmentation.half_body_probability = 0.0
    augmentation.distribution = "uniform"
    augmentation.scale = 0.25
    augmentation.rotation = 30.0
    task.evaluation.flip_test = False
    task.evaluation.metric = "nme"
    return pose.experiment(
        task,
        train_people=WFLW_TRAIN_FACES,
        learning_rate=1e-4,
        epochs=60,
        boundaries=(30, 50),
        validation_epochs=1,
        metric="NME",
        lower_is_better=True,
    )


def face_model(model_id: str = "w18") -> pose.PoseModel:
    """The official network of faces: all branches, mixed, and 1x1 convolutions."""
    hrnet = HRNet(
        model_id=model_id, multi_scale_output=True, fuse_upsampling="bilinear"
    )
    norm_activation = official_norm_activation()
    norm_activation.norm_momentum = 0.99
    return pose.PoseModel(
        input_size=[256, 256],
        backbone=Backbone(type="hrnet", hrnet=hrnet),
        decoder=Decoder(type="hrnetv2"),
        norm_activation=norm_activation,
    )


@exp_factory.register_config_factory("hrnet_pose_crowdpose")
def hrnet_pose_crowdpose() -> cfg.ExperimentConfig:
    """MMPose's CrowdPose recipe: W32, 256x192, 210 epochs of batch 512."""
    task = pose.PoseTask(skeleton="crowdpose14")
    return _mmpose_experiment(task, CROWDPOSE_TRAIN_PEOPLE)


@exp_factory.register_config_factory("hrnet_pose_ap10k")
def hrnet_pose_ap10k() -> cfg.ExperimentConfig:
    """MMPose's AP-10K recipe: W32, 256x256, 210 epochs of batch 512."""
    task = pose.PoseTask(skeleton="ap10k17")
    task.model.input_size = [256, 256]
    return _mmpose_experiment(task, AP10K_TRAIN_ANIMALS)


@exp_factory.register_config_factory("hrnet_pose_wholebody")
def hrnet_pose_wholebody() -> cfg.ExperimentConfig:
    """MMPose's COCO-WholeBody recipe: W32, 256x192, 210 epochs of batch 512."""
    task = pose.PoseTask(skeleton="coco_wholebody133")
    return _mmpose_experiment(task, pose.COCO_TRAIN_PEOPLE)


def _mmpose_experiment(task: pose.PoseTask, train_people: int) -> cfg.ExperimentConfig:
    """MMPose configs/*/td-hm_hrnet-w32_8xb64-210e_*.py: Adam 5e-4 after a warm-up."""
    task.train_data.global_batch_size = 512
    augmentation = task.train_data.augmentation
    augmentation.half_body_upper_probability = 0.7
    augmentation.shift_probability = 0.3
    augmentation.shift = 0.16
    augmentation.distribution = "truncated_normal"
    augmentation.scale = 0.5
    augmentation.rotation = 80.0
    return pose.experiment(
        task,
        train_people=train_people,
        learning_rate=5e-4,
        warmup={"linear": {"warmup_steps": 500, "warmup_learning_rate": 5e-7}},
    )
