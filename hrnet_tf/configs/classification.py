"""ImageNet classification: HRNet on the Garden's own image classification task."""

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.modeling import optimization
from official.vision.configs import common, image_classification

from hrnet_tf.configs import backbones

IMAGENET_TRAIN_IMAGES = 1281167


@exp_factory.register_config_factory("hrnet_imagenet")
def hrnet_imagenet() -> cfg.ExperimentConfig:
    """The paper's ImageNet recipe: W18, 224x224, 100 epochs of batch 128.

    Official HRNet-Image-Classification, experiments/: SGD with Nesterov momentum,
    weight decay 1e-4 (here of kernels alone), a tenth of the learning rate at epochs
    30, 60 and 90. Boundaries and `train_steps` are counted in steps: change them with
    the batch size.

    Labels are 0 to 999, as in the official weights and in imagenet2012 of TensorFlow
    Datasets. The Garden's own ImageNet records count from 1 to 1000. Nothing fails when
    they are read with 1000 classes, but every label then names the class after its own,
    and the last one none: set `task.model.num_classes` to 1001 for them. Of the
    official weights only the backbone fits then.
    """
    train_batch_size = 128
    steps_per_epoch = IMAGENET_TRAIN_IMAGES // train_batch_size

    def steps(epochs: int) -> int:
        return epochs * steps_per_epoch

    task = image_classification.ImageClassificationTask(
        model=image_classification.ImageClassificationModel(
            num_classes=1000,
            input_size=[224, 224, 3],
            backbone=backbones.Backbone(
                type="hrnet",
                hrnet=backbones.HRNet(
                    model_id="w18",
                    classification_neck=True,
                    kernel_initializer="kaiming",
                ),
            ),
            norm_activation=common.NormActivation(
                activation="relu",
                use_sync_bn=False,
                norm_momentum=0.9,
                norm_epsilon=1e-5,
            ),
        ),
        losses=image_classification.Losses(l2_weight_decay=1e-4),
        train_data=image_classification.DataConfig(
            is_training=True, global_batch_size=train_batch_size
        ),
        # Every image is scored, those of the last, smaller batch too.
        validation_data=image_classification.DataConfig(
            is_training=False, global_batch_size=train_batch_size, drop_remainder=False
        ),
    )
    return cfg.ExperimentConfig(
        task=task,
        trainer=cfg.TrainerConfig(
            train_steps=steps(100),
            steps_per_loop=100,
            summary_interval=100,
            checkpoint_interval=steps_per_epoch,
            validation_interval=steps_per_epoch,
            validation_steps=-1,
            max_to_keep=2,
            best_checkpoint_export_subdir="best_checkpoint",
            best_checkpoint_eval_metric="accuracy",
            best_checkpoint_metric_comp="higher",
            optimizer_config=optimization.OptimizationConfig(
                {
                    "optimizer": {
                        "type": "sgd",
                        "sgd": {"momentum": 0.9, "nesterov": True},
                    },
                    "learning_rate": {
                        "type": "stepwise",
                        "stepwise": {
                            "boundaries": [steps(30), steps(60), steps(90)],
                            "values": [0.05, 0.005, 0.0005, 0.00005],
                        },
                    },
                }
            ),
        ),
        runtime=cfg.RuntimeConfig(distribution_strategy="mirrored"),
        restrictions=[
            "task.train_data.is_training != None",
            "task.validation_data.is_training != None",
        ],
    )
