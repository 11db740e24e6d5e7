"""ImageNet classification: HRNet on the Garden's own image classification task."""

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.vision.configs import image_classification

from hrnet_tf.configs import backbones, recipes

IMAGENET_TRAIN_IMAGES = 1281167


@exp_factory.register_config_factory("hrnet_imagenet")
def hrnet_imagenet() -> cfg.ExperimentConfig:
    """The paper's ImageNet recipe: W18, 224x224, 100 epochs of batch 128.

    Official HRNet-Image-Classification, experiments/: SGD with Nesterov momentum,
    weight decay 1e-4 (here for kernels only), a tenth of the learning rate at epochs
    30, 60 and 90. Boundaries and `train_steps` are counted in steps: change them with
    the batch size.

    Labels are 0 to 999, as in the official weights and in imagenet2012 of TensorFlow
    Datasets. The Garden's own ImageNet records count from 1 to 1000: set
    `task.model.num_classes` to 1001 for them. With 1000 classes nothing fails, but
    every label names the class after its own, and the last label no class at all. With
    1001, only the backbone of the official weights fits.
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
            norm_activation=backbones.official_norm_activation(),
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
    return recipes.experiment(
        task,
        train_steps=steps(100),
        checkpoint_interval=steps_per_epoch,
        validation_interval=steps_per_epoch,
        metric="accuracy",
        optimizer={"sgd": {"momentum": 0.9, "nesterov": True}},
        learning_rate=recipes.stepwise(0.05, [steps(30), steps(60), steps(90)]),
    )
