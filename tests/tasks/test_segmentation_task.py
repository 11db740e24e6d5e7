"""The segmentation task: its losses, and evaluations against plain numpy."""

import functools

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.core import task_factory

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.data.inputs.normalization import normalize_image
from hrnet_tf.modeling.high_resolution_module import upsample
from hrnet_tf.modeling.segmentation_model import AUXILIARY
from hrnet_tf.tasks.segmentation import SegmentationTask
from hrnet_tf.training.experiment import parse_config


@pytest.fixture
def make_task(parsing_data, tmp_path):
    """Makes a task with changes, and a model that predicts all sorts of things."""

    def make(*changes: str):
        params = parse_config(
            "hrnet_seg_custom", [str(parsing_data / "parsing.yaml")], changes
        )
        task = task_factory.get_task(params.task, logging_dir=str(tmp_path))
        assert isinstance(task, SegmentationTask)
        model = task.build_model()
        generator = np.random.default_rng(0)
        for variable in model.variables:
            if "kernel" in variable.name:
                scale = 1 / np.sqrt(np.prod(variable.shape[:-1]))
                variable.assign(generator.normal(0, scale, variable.shape))
        tame_logits(model, generator.normal(size=(1, 64, 64, 3)))
        return task, model

    return make


def tame_logits(model, images):
    """Gives logits a size that exp() can take in float32."""
    for name, logits in model(images, training=False).items():
        layer = model.head if name == "logits" else model.decoder.auxiliary_classifier
        kernel = next(v for v in layer.variables if "kernel" in v.name)
        kernel.assign(kernel * 2 / np.std(logits))


def evaluate(task, model):
    """Metrics of an evaluation as the trainer runs it, on one device."""
    task.build_metrics(training=False)
    state = None
    for inputs in task.build_inputs(task.task_config.validation_data):
        logs = task.validation_step(inputs, model)
        state = task.aggregate_logs(
            state, {name: (value,) for name, value in logs.items()}
        )
    return task.reduce_aggregated_logs(state)


def read_images(task):
    for example in task.read(task.task_config.validation_data).images():
        yield example["image"].numpy(), example["labels"].numpy()


def resize(array, height, width):
    return cv2.resize(array, (width, height), interpolation=cv2.INTER_LINEAR)


def numpy_scores(model, image, long_side, flip, permutation):
    """exp(logits) of one scale, at the image's size."""
    height, width = image.shape[:2]
    longer = max(height, width)
    size = [int(side * long_side / longer + 0.5) for side in (height, width)]
    scaled = resize(image.astype(np.float32), *size)
    padded = np.zeros((-(-size[0] // 32) * 32, -(-size[1] // 32) * 32, 3), np.float32)
    padded[: size[0], : size[1]] = scaled

    def logits(pixels):
        found = model(normalize_image(pixels)[tf.newaxis], training=False)["logits"]
        return resize(found[0].numpy(), *pixels.shape[:2])

    found = logits(padded)
    if flip:
        found = (found + logits(padded[:, ::-1])[:, ::-1][..., permutation]) / 2
    found = np.exp(found[: size[0], : size[1]])
    return resize(found, height, width)


def numpy_metrics(predictions, truths, num_classes):
    """Mean IoU and pixel accuracy from sets of pixels."""
    predicted = np.concatenate([array.ravel() for array in predictions])
    labels = np.concatenate([array.ravel() for array in truths])
    ious = []
    for index in range(num_classes):
        truth, found = labels == index, predicted == index
        if (truth | found).any():
            ious.append((truth & found).sum() / (truth | found).sum())
    return np.mean(ious), (labels == predicted).mean()


@pytest.mark.parametrize(
    ("scales", "flip"),
    [
        pytest.param([1.0], False, marks=pytest.mark.slow),
        pytest.param([1.0], True, marks=pytest.mark.slow),
        pytest.param([0.5, 1.0, 1.25], True, marks=pytest.mark.heavy),
    ],
)
def test_evaluation_is_that_of_numpy(make_task, scales, flip):
    task, model = make_task(
        f"task: {{evaluation: {{scales: {scales}, flip_test: {str(flip).lower()}}}}}"
    )
    metrics = evaluate(task, model)
    predictions, truths, margins = [], [], []
    permutation = task.label_set.flip_permutation
    for image, labels in read_images(task):
        scores = sum(
            numpy_scores(model, image, 96 * scale, flip, permutation)
            for scale in scales
        )
        predictions.append(scores.argmax(axis=-1))
        truths.append(labels)
        best = np.sort(scores, axis=-1)
        margins.append((best[..., -1] / best[..., -2] < 1 + 1e-3).mean())
    mean_iou, accuracy = numpy_metrics(predictions, truths, 20)
    # Classes that are all but equal may be ordered either way.
    tolerance = 1e-4 + np.mean(margins)
    assert metrics["mean_iou"] == pytest.approx(mean_iou, abs=tolerance)
    assert metrics["pixel_accuracy"] == pytest.approx(accuracy, abs=tolerance)
    assert len(np.unique(np.concatenate([p.ravel() for p in predictions]))) > 3
    assert np.isfinite(metrics["validation_loss"])


def test_under_xla_images_are_predicted_as_parts_of_one_shape():
    """With what XLA's own resize has wrong in it: from 5 pixels to 15."""
    params = parse_config(
        "hrnet_seg_custom",
        [],
        [
            "task.label_set=synthetic_parts",
            "task: {resizing: {method: fixed, size: [15, 21]}}",
        ],
    )
    task = task_factory.get_task(params.task)
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(3, task.label_set.num_classes)).astype(np.float32)

    def network(images, training):
        assert not training
        pooled = tf.nn.avg_pool2d(images, 3, 3, "VALID")
        return {"logits": upsample(pooled, 3, "bilinear") @ kernel}

    # The last one only fills the batch.
    sizes = [(24, 22), (13, 25), (0, 0)]
    images = generator.integers(0, 256, (3, 24, 25, 3), np.uint8)
    masks = generator.integers(0, 20, (3, 24, 25, 1), np.uint8)
    masks[2] = 255
    info = tf.constant([[size, size, (1, 1), (0, 0)] for size in sizes], tf.float32)
    inputs = (tf.constant(images), {"image_info": info, "masks": tf.constant(masks)})

    expected = task.validation_step(inputs, network)
    step = functools.partial(task.validation_step, model=network)
    found = tf.function(step, jit_compile=True)(inputs)
    assert len(np.unique(expected["predicted"])) > 5
    right = total = 0
    for received, wanted, (height, width) in zip(
        found["predicted"], expected["predicted"], sizes, strict=True
    ):
        right += np.sum((received == wanted)[:height, :width])
        total += height * width
    # Of two classes that are all but equal, either may win.
    assert right >= total - 2
    assert np.abs(found["confusion"] - expected["confusion"]).sum() <= 4
    assert float(found["loss_sum"]) == pytest.approx(float(expected["loss_sum"]))


@pytest.mark.slow  # Traces three evaluations.
def test_windows_over_larger_images(make_task):
    task, model = make_task(
        "task.evaluation.window=[64,64],task.resizing.long_side=128"
    )
    metrics = evaluate(task, model)
    whole, _ = make_task("task.resizing.long_side=128")
    assert metrics["pixel_accuracy"] != evaluate(whole, model)["pixel_accuracy"]
    assert "windows of 64x64" in task.protocol
    assert "whole images" in whole.protocol


@pytest.mark.slow  # Traces an evaluation on two devices.
def test_replicas_share_an_evaluation(make_task, two_cpus):
    task, model = make_task()
    expected = evaluate(task, model)
    weights = [variable.numpy() for variable in model.variables]
    strategy = tf.distribute.MirroredStrategy(two_cpus)
    with strategy.scope():
        task, model = make_task("task.validation_data.global_batch_size=4")
        for variable, weight in zip(model.variables, weights, strict=True):
            variable.assign(weight)
    dataset = strategy.distribute_datasets_from_function(
        lambda context: task.build_inputs(task.task_config.validation_data, context)
    )
    state = None

    @tf.function
    def step(inputs):
        return strategy.run(lambda batch: task.validation_step(batch, model), (inputs,))

    for inputs in dataset:
        logs = step(inputs)
        state = task.aggregate_logs(
            state,
            {
                name: strategy.experimental_local_results(value)
                for name, value in logs.items()
            },
        )
    with strategy.scope():
        found = task.reduce_aggregated_logs(state)
    for name, value in expected.items():
        if not name.startswith("image/"):
            assert found[name] == pytest.approx(value, abs=1e-4), name


@pytest.mark.heavy
def test_every_image_leaves_its_mark_and_pictures_are_written(make_task, tmp_path):
    task, model = make_task("task.evaluation.num_pictures=3")
    logs = evaluate(task, model)
    pixels = sum(labels.size for _, labels in read_images(task))
    assert task._evaluator.confusion.sum() == pixels
    sheet = cv2.imread(str(tmp_path / "predictions.png"))
    assert sheet.shape[0] > 2 * 360 and sheet.shape[1] > 2 * 2 * 480
    assert cv2.imread(str(tmp_path / "confusion.png")) is not None
    assert logs["image/predictions"].shape[0] == 1


def test_report_names_the_protocol_and_the_data(make_task, parsing_data):
    task, _ = make_task()
    data = f"{parsing_data}/records/val-*"
    report = task.report()
    assert report.data == data
    assert report.facts == {"protocol": task.protocol, "data": data}


def test_the_configuration_stays_as_it_is(parsing_data):
    params = parse_config("hrnet_seg_custom", [str(parsing_data / "parsing.yaml")])
    before = params.as_dict()
    assert before["task"]["model"]["num_classes"] == 0
    task = task_factory.get_task(params.task)
    assert task.build_model().output_shape["logits"][-1] == 20
    own = task.task_config.as_dict()
    for training in (True, False):
        task.build_metrics(training)
    assert task.task_config.as_dict() == own
    assert params.as_dict() == before


# ---- losses ----


def outputs_and_labels(task, model):
    data = task.task_config.train_data
    images, labels = task.prepare(next(iter(task.build_inputs(data))))
    return model(images, training=False), labels


def mean_cross_entropy(logits, labels, weights=None):
    masks = labels["masks"].numpy()[..., 0]
    logits = np.stack([resize(one, *masks.shape[1:]) for one in logits.numpy()])
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    labelled = masks != 255
    classes = masks[labelled]
    losses = -logs[labelled][np.arange(len(classes)), classes]
    weights = np.ones(20) if weights is None else np.array(weights)
    return (weights[classes] * losses).sum() / weights[classes].sum()


def test_the_loss_is_the_mean_of_labelled_pixels(make_task):
    task, model = make_task("task.losses.l2_weight_decay=0.0")
    outputs, labels = outputs_and_labels(task, model)
    expected = mean_cross_entropy(outputs["logits"], labels)
    np.testing.assert_allclose(task.build_losses(labels, outputs), expected, rtol=1e-4)


def test_class_weights_make_a_weighted_mean(make_task):
    weights = np.linspace(0.2, 3, 20).round(3).tolist()
    task, model = make_task(f"task: {{losses: {{class_weights: {weights}}}}}")
    outputs, labels = outputs_and_labels(task, model)
    expected = mean_cross_entropy(outputs["logits"], labels, weights)
    np.testing.assert_allclose(task.build_losses(labels, outputs), expected, rtol=1e-4)


def test_regularisation_is_added_once(make_task):
    task, model = make_task(
        "task.losses.l2_weight_decay=0.01,task.losses.loss_weight=2.0"
    )
    outputs, labels = outputs_and_labels(task, model)
    kernels = [v for v in model.trainable_variables if "kernel" in v.name]
    penalty = sum(0.005 * np.square(kernel.numpy()).sum() for kernel in kernels)
    expected = 2 * mean_cross_entropy(outputs["logits"], labels) + penalty
    loss = task.build_losses(labels, outputs, model.losses)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


@pytest.mark.parametrize("ohem", ["false", "true"])
def test_ocr_adds_its_auxiliary_loss(make_task, ohem):
    task, model = make_task(
        "task: {model: {decoder: {type: hrnetv2_ocr, hrnetv2_ocr: {num_filters: 16, "
        f"key_filters: 8, upsampling: bilinear}}}}}}, losses: {{ohem: {ohem}}}}}"
    )
    outputs, labels = outputs_and_labels(task, model)
    assert set(outputs) == {"logits", AUXILIARY}
    auxiliary = mean_cross_entropy(outputs[AUXILIARY], labels)
    total = float(task.build_losses(labels, outputs))
    main = float(task.build_losses(labels, {"logits": outputs["logits"]}))
    assert total == pytest.approx(main + 0.4 * auxiliary, rel=1e-4)
    plain = mean_cross_entropy(outputs["logits"], labels)
    # With OHEM the hard pixels are those of the main output alone.
    assert (main == pytest.approx(plain, rel=1e-4)) == (ohem == "false") or main > plain


def test_training_learns(make_task):
    task, model = make_task()
    optimizer = tf_keras.optimizers.legacy.Adam(0.01)
    inputs = next(iter(task.build_inputs(task.task_config.train_data)))
    metrics = task.build_metrics(training=True)
    losses = [
        float(task.train_step(inputs, model, optimizer, metrics)["loss"])
        for _ in range(12)
    ]
    assert losses[-1] < 0.7 * losses[0]


def test_the_gardens_training_metric_works(make_task):
    task, model = make_task("task.evaluation.report_train_mean_iou=true")
    inputs = next(iter(task.build_inputs(task.task_config.train_data)))
    metrics = task.build_metrics(training=True)
    logs = task.train_step(inputs, model, tf_keras.optimizers.legacy.SGD(), metrics)
    assert 0 < float(logs["mean_iou"]) < 1
