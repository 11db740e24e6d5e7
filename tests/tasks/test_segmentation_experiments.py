"""The experiments hold the published recipes."""

import pytest
from official.core import exp_factory
from official.modeling import optimization

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.data.vocabularies.label_sets import load_label_set

# Crop, size, greatest scale, learning rate, weight decay, batch, epochs, images.
RECIPES = {
    "cityscapes": ([512, 1024], 2048, 2.1, 0.01, 5e-4, 12, 484, 2975),
    "pascal_context": ([480, 480], 520, 2.1, 0.004, 1e-4, 16, 200, 4998),
    "lip": ([473, 473], 473, 1.6, 0.007, 5e-4, 40, 150, 30462),
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipe(name):
    crop, size, scale_max, rate, decay, batch, epochs, images = RECIPES[name]
    params = exp_factory.get_exp_config(f"hrnet_seg_{name}")
    task = params.task
    assert task.train_data.crop_size == crop
    if name == "lip":
        assert (task.resizing.method, task.resizing.size) == ("fixed", [size, size])
    else:
        assert (task.resizing.method, task.resizing.long_side) == ("long_side", size)
    augmentation = task.train_data.augmentation
    assert (augmentation.scale_min, augmentation.scale_max) == (0.5, scale_max)
    assert augmentation.scale_step == 0.1 and augmentation.flip_probability == 0.5
    assert task.losses.l2_weight_decay == decay
    assert task.train_data.global_batch_size == batch
    assert params.trainer.train_steps == epochs * (images // batch)
    assert task.label_set == name
    assert load_label_set(name).num_classes == {"pascal_context": 59, "lip": 20}.get(
        name, 19
    )
    assert task.drop_background == (name == "pascal_context")
    assert task.evaluation.flip_test == (name == "lip")
    assert len(task.losses.class_weights) == (19 if name == "cityscapes" else 0)

    optimizer = params.trainer.optimizer_config
    assert optimizer.optimizer.get().momentum == 0.9
    assert not optimizer.optimizer.get().nesterov
    schedule = optimization.OptimizerFactory(optimizer).build_learning_rate()
    steps = params.trainer.train_steps
    # poly: (1 - step / steps) ** 0.9, at every step.
    for step in (0, 1, steps // 3, steps - 1):
        expected = rate * (1 - step / steps) ** 0.9
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-2)
    norm = task.model.norm_activation
    assert norm.use_sync_bn and (norm.norm_momentum, norm.norm_epsilon) == (0.99, 1e-5)
    hrnet = task.model.backbone.hrnet
    assert (hrnet.model_id, hrnet.fuse_upsampling) == ("w48", "bilinear")


def test_your_own_classes_start_from_a_small_network():
    params = exp_factory.get_exp_config("hrnet_seg_custom")
    assert params.task.model.backbone.hrnet.model_id == "w18_small_v2"
    assert params.runtime.distribution_strategy == "one_device"
