"""Detectors as SavedModels and .tflite files, alone and with a pose model."""

import dataclasses
import functools
import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tensorflow as tf
from batched import same_lines
from official.core import task_factory
from signature_page import TFLITE, assert_documented

from hrnet_tf import join as join_command
from hrnet_tf.serving import loading, saved_model, tflite
from hrnet_tf.serving.detection.metadata import DetectionMetadata
from hrnet_tf.serving.detection.module import DetectionModule, fit
from hrnet_tf.serving.detection.predictor import TFLiteDetectionPredictor
from hrnet_tf.serving.loading import TFLITE_SIGNATURE, LoadedTFLite
from hrnet_tf.serving.people import joining
from hrnet_tf.serving.people.joining import JoiningError, join
from hrnet_tf.serving.people.module import PeopleModule
from hrnet_tf.serving.people.predictor import TwoStagePredictor
from hrnet_tf.serving.predictors import load_predictor
from hrnet_tf.serving.tflite_metadata import read_description
from hrnet_tf.serving.verification import VerificationError
from hrnet_tf.training.experiment import parse_config
from tests.conftest import TOY_MASK_RCNN, draw_detector_weights

CATEGORIES = {1: "person", 2: "disc", 4: "bar"}


@pytest.fixture(scope="module")
def detector():
    """(task, what it detects in canvases, module, metadata), random weights."""
    params = parse_config("hrnet_maskrcnn_coco", [], [json.dumps(_task())])
    task = task_factory.get_task(params.task)
    model = task.build_model()
    draw_detector_weights(model)
    canvases, info = zip(*(fit(image, (128, 128)) for image in images()), strict=True)
    expected = tf.function(lambda *inputs: task.detect(model, *inputs))(
        tf.stack(canvases), tf.stack(info)
    )
    expected = {name: values.numpy() for name, values in expected.items()}
    metadata = DetectionMetadata.of_task(params.task, CATEGORIES)
    return task, expected, DetectionModule(task, model, metadata), metadata


def _task():
    return {"task": {"model": {**TOY_MASK_RCNN}}}


def images():
    """Two images of different shapes."""
    generator = np.random.default_rng(1)
    for height, width in ((90, 120), (200, 80)):
        coarse = generator.integers(0, 256, (9, 9, 3), np.uint8)
        yield cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def assert_same(found, expected, atol=0.02):
    """The same objects, in any order: equal scores have none."""
    assert len(found["boxes"]) == len(expected["boxes"]) > 0
    for row in range(len(expected["boxes"])):
        distances = np.abs(found["boxes"] - expected["boxes"][row]).max(axis=-1)
        distances[found["classes"] != expected["classes"][row]] = np.inf
        distances += np.abs(found["scores"] - expected["scores"][row])
        nearest = distances.argmin()
        assert distances[nearest] < atol
        np.testing.assert_allclose(
            found["masks"][nearest], expected["masks"][row], atol=0.02
        )


def encoded(image):
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


@pytest.fixture(scope="module")
def saved(detector, tmp_path_factory):
    _, _, module, metadata = detector
    folder = tmp_path_factory.mktemp("detection") / "1"
    saved_model.write_saved_model(module, metadata, str(folder))
    return folder


@pytest.fixture(scope="module")
def predictor(saved):
    return load_predictor(str(saved))


def test_signatures_are_those_of_the_page(detector):
    _, _, module, _ = detector
    graphs = {**module.signatures(), TFLITE: module.mobile_function()}
    assert_documented("Detection", graphs)


def test_bytes_to_objects_in_image_pixels(detector, predictor):
    _, expected, _, _ = detector
    serve = predictor._model.signatures["serving_default"]
    found = serve(image_bytes=tf.constant([encoded(image) for image in images()]))
    assert set(found) == {"boxes", "classes", "scores", "num_detections", "masks"}
    np.testing.assert_array_equal(found["num_detections"], expected["num_detections"])
    names = ("boxes", "classes", "scores", "masks")
    for place, count in enumerate(expected["num_detections"]):
        of_image = {name: found[name][place].numpy() for name in names}
        assert_same(
            {name: values[:count] for name, values in of_image.items()},
            {name: expected[name][place][:count] for name in names},
        )
        assert not any(values[count:].any() for values in of_image.values())
    for boxes, image in zip(found["boxes"].numpy(), images(), strict=True):
        assert boxes.min() > -1e-3
        height, width = image.shape[:2]
        lower_right = boxes[:, :2] + boxes[:, 2:]
        assert (lower_right <= np.array([width, height]) + 0.01).all()
        assert (lower_right > 0.9 * np.array([width, height])).any()


def test_no_images_no_objects(predictor):
    signatures = predictor._model.signatures
    found = signatures["serving_default"](image_bytes=tf.zeros([0], tf.string))
    assert found["boxes"].shape == (0, 12, 4) and found["masks"].shape[0] == 0
    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures["serving_default"](image_bytes=tf.constant([b"no image"]))


def test_predictor(detector, predictor):
    _, expected, _, metadata = detector
    assert dataclasses.replace(predictor.metadata, operators=None) == metadata
    assert predictor.metadata.detector == "mask_rcnn"
    for place, image in enumerate(images()):
        found = predictor.predict(image)
        count = expected["num_detections"][place]
        names = ("boxes", "classes", "scores", "masks")
        assert_same(
            vars(found), {name: expected[name][place][:count] for name in names}
        )


def test_the_page_shows_objects(predictor):
    pytest.importorskip("gradio")
    from hrnet_tf.serving.page import show

    image = next(images())
    scores = predictor.predict_image(image).scores
    least = float(np.median(scores))
    picture, rows = show(predictor, image, least)
    assert picture.shape == image.shape and (picture != image).any()
    assert len(rows) == (scores >= least).sum() < len(scores)
    assert {row[0] for row in rows} <= {*CATEGORIES.values(), "3"}
    assert all(row[1] >= round(least, 3) for row in rows)


def test_maps_are_those_of_the_network(detector):
    _, _, module, _ = detector
    maps = module.predict_maps(np.zeros((2, 128, 128, 3), np.uint8))
    assert maps.shape == (2, 32, 32, 8) and np.isfinite(maps).all()


def written_images(folder):
    """A folder with the images, and one more."""
    folder.mkdir()
    for number, image in enumerate([*images(), np.zeros((40, 60, 3), np.uint8)]):
        (folder / f"{number}.png").write_bytes(encoded(image))
    return folder


@pytest.mark.slow  # Loads a detector twice.
def test_batches_find_the_same(saved, tmp_path):
    found = same_lines(saved, written_images(tmp_path / "images"), tmp_path)
    assert sum(map(len, found)) > 0


@pytest.mark.slow
def test_tflite_file_is_the_same_detector(detector, predictor, tmp_path):
    _, _, module, metadata = detector
    content = tflite.convert(module, metadata, "none")
    path = tmp_path / "detector.tflite"
    path.write_bytes(content)
    description = read_description(content, "it")
    told = DetectionMetadata.from_dict(description, "it")
    assert dataclasses.replace(told, operators=None, file_tensors=None) == metadata
    assert told.file_tensors.outputs["boxes"].shape == [1, metadata.max_detections, 4]
    # Of the canvas' size, so that no resizing differs.
    image = cv2.resize(next(images()), (128, 128))
    found, expected = load_predictor(str(path)).predict(image), predictor.predict(image)
    assert_same(vars(found), vars(expected), atol=0.1)
    found = same_lines(path, written_images(tmp_path / "images"), tmp_path)
    assert sum(map(len, found)) > 0


def test_boxes_of_tflite_files_end_at_the_image():
    canvas_box = np.array([[[10, 20, 100, 100]]], np.float32)
    outputs = {
        "boxes": canvas_box,
        "classes": np.array([[1]]),
        "scores": np.array([[0.5]]),
        "num_detections": np.array([1]),
    }
    metadata = DetectionMetadata(
        categories={1: "cat"},
        input_size=(128, 128),
        detector="retinanet",
        has_masks=False,
        max_detections=1,
        model="w18",
    )
    description = metadata.to_dict()
    model = LoadedTFLite(
        path="m.tflite",
        description=description,
        interface={TFLITE_SIGNATURE: metadata.tflite_interface()},
        run=lambda image: outputs,
        outputs=tuple(outputs),
    )
    found = TFLiteDetectionPredictor(model).predict(np.zeros((32, 64, 3), np.uint8))
    np.testing.assert_allclose(found.boxes, [[5, 10, 50, 22]])


def test_operations_that_tflite_lacks_are_named():
    message = tflite._unsupported(
        "Some ops are not supported: ... tf.CombinedNonMaxSuppression {device} "
        "tf.CombinedNonMaxSuppression tf.Where"
    )
    assert "CombinedNonMaxSuppression, Where. Export it as saved_model" in message


def test_a_joint_model_leaves_out_what_can_hold_no_person():
    module = PeopleModule.__new__(PeopleModule)
    module._metadata = SimpleNamespace(
        category_id=1,
        box_score_threshold=0.1,
        max_people=2,
        detector=SimpleNamespace(max_detections=3),
    )
    found = {
        "boxes": tf.constant([[[1, 2, 3, 0], [1, 2, 3, 4], [5, 6, 7, 8.0]]]),
        "scores": tf.constant([[0.9, 0.8, 0.05]]),
        "classes": tf.constant([[1, 1, 1]]),
    }
    boxes, scores, count = module._choose_people(found)
    np.testing.assert_array_equal(boxes, [[[1, 2, 3, 4], [0, 0, 0, 0]]])
    np.testing.assert_allclose(scores, [[0.8, 0]])
    assert count == [1]


@pytest.mark.slow  # Traces a detector and a joint model.
def test_people_are_found_by_detector_and_pose_model(saved, saved_model_dir, tmp_path):
    path = tmp_path / "people" / "1"
    detector, pose = str(saved), str(saved_model_dir)
    flags = [f"--detector={detector}", f"--pose={pose}", f"--output_dir={path}"]
    flags += ["--category_id=4", "--box_score_threshold=0.1", "--max_people=15"]
    assert join_command.main(["join", *flags]) == 0
    joint = load_predictor(str(path))
    apart = TwoStagePredictor(load_predictor(detector), load_predictor(pose), 4, 0.1)
    numbers = []
    for image in images():
        found, expected = joint.predict(image), apart.predict(image)
        numbers.append(len(found.scores))
        assert len(expected.scores) == numbers[-1]
        # This network's heatmaps are anything; what rounds in a crop's pixels changes
        # them by a share, 0.001 as measured, of their highest value.
        highest = 2 * np.abs(expected.keypoints[..., 2]).max(initial=1.0)
        for name, unit in (
            *(("boxes", 1.0), ("box_scores", 1.0), ("scores", highest)),
            ("keypoints", [1.0, 1.0, highest]),
        ):
            np.testing.assert_allclose(
                getattr(found, name) / unit, getattr(expected, name) / unit, atol=1e-3
            )
    assert max(numbers) > 0
    signatures = tf.saved_model.load(str(path)).signatures
    assert_documented("A detector and a pose model in one", signatures)
    serve = signatures["serving_default"]
    outputs = serve(image_bytes=tf.constant([encoded(image) for image in images()]))
    assert outputs["num_people"].numpy().tolist() == numbers
    assert outputs["keypoints"].shape == (2, 15, 17, 3)
    for place, count in enumerate(numbers):
        assert (outputs["box_scores"][place, :count].numpy() >= 0.1).all()
        for values in outputs.values():
            if values.shape.rank > 1:
                assert not values[place, count:].numpy().any()

    folder = written_images(tmp_path / "images")
    found = same_lines(path, folder, tmp_path / "joint")
    assert list(map(len, found))[:2] == numbers
    flags = [f"--detector={detector}", "--category_id=4", "--box_score_threshold=0.1"]
    found = same_lines(pose, folder, tmp_path / "apart", *flags)
    assert list(map(len, found))[:2] == numbers


@pytest.mark.slow  # Traces a joint model.
def test_what_answers_otherwise_is_not_written(
    saved, saved_model_dir, tmp_path, monkeypatch, capsys
):
    choose = PeopleModule._choose_people

    def shift(self, found):
        boxes, scores, count = choose(self, found)
        return boxes + 1.0, scores, count

    monkeypatch.setattr(PeopleModule, "_choose_people", shift)
    flags = [f"--detector={saved}", f"--pose={saved_model_dir}", "--category_id=4"]
    flags += ["--box_score_threshold=0.1", f"--output_dir={tmp_path}/out/1"]
    assert join_command.main(["join", *flags]) == 1
    assert "The joint model's boxes are not those of the two" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


SHAPES = {"boxes": (4,), "box_scores": (), "keypoints": (17, 3), "scores": ()}


def zeros(number):
    """What a model of people answers, for so many of them."""
    return {name: np.zeros([number, *shape]) for name, shape in SHAPES.items()}


def answers(**values):
    """A predictor that always answers so."""
    return SimpleNamespace(predict_image=lambda image: SimpleNamespace(**values))


@pytest.mark.parametrize("name", SHAPES)
def test_answers_of_a_joint_model_are_compared(name):
    two = answers(**zeros(2))
    # Of those that are found apart, it may leave out what is beyond its limit.
    joining._compare(answers(**zeros(3)), two, max_people=2)
    shape = SHAPES[name]
    for other in (np.full([2, *shape], 0.02), np.zeros([1, *shape])):
        with pytest.raises(VerificationError, match=f"The joint model's {name} are"):
            joining._compare(two, answers(**{**zeros(2), name: other}), max_people=2)
    apart = {**zeros(2), name: np.stack([np.zeros(shape), np.ones(shape)])}
    in_another_order = answers(**{**apart, name: apart[name][::-1]})
    with pytest.raises(VerificationError, match=f"The joint model's {name} are"):
        joining._compare(answers(**apart), in_another_order, max_people=2)


def test_answers_are_compared_for_drawn_people_too(caplog):
    def answering(person, nobody):
        """Finds somebody in images whose pixels are like those beside them."""

        def predict_image(image):
            is_noise = np.abs(np.diff(image.astype(float), axis=1)).mean() > 50
            return SimpleNamespace(**(nobody if is_noise else person))

        return SimpleNamespace(predict_image=predict_image)

    one, nobody = zeros(1), zeros(0)
    joining._compare(answering(one, nobody), answering(one, nobody), max_people=2)
    assert not caplog.text
    moved = answering({**one, "keypoints": one["keypoints"] + 3}, nobody)
    with pytest.raises(VerificationError, match="keypoints"):
        joining._compare(answering(one, nobody), moved, max_people=2)
    joining._compare(answers(**nobody), answers(**nobody), max_people=2)
    assert "found nobody" in caplog.text and "Compare them on an image" in caplog.text


def test_keypoints_of_large_people_are_compared_by_their_size():
    """The detector finds large boxes in noise, and the pose model no sharp peaks."""
    people = zeros(1) | {"boxes": np.array([[0.0, 0.0, 90.0, 200.0]])}
    one, boxes = people["keypoints"], people["boxes"]
    for pixels, agree in ((0.19, True), (0.21, False)):
        moved = np.zeros([1, 17, 3])
        moved[..., :2] = pixels
        assert joining._agree("keypoints", one, moved, boxes) == agree
    scored = np.zeros([1, 17, 3])
    scored[..., 2] = 0.02
    assert not joining._agree("keypoints", one, scored, boxes)


def test_scores_of_a_joint_model_are_compared_as_shares_of_the_highest():
    apart = np.array([[[40.0, 60.0, 120.0], [50.0, 70.0, -3.0]]])
    boxes = np.array([[30.0, 50.0, 10.0, 10.0]])
    for change, agrees in (
        ((0, 0, 0.9), True),
        ((0, 0, 1.5), False),
        ((0.02, 0, 0), False),
        ((0, -0.02, 0), False),
    ):
        assert joining._agree("keypoints", apart, apart + change, boxes) == agrees
        assert joining._agree("keypoints", apart[:0], apart[:0], boxes[:0])
    assert not joining._agree("boxes", apart, apart + [0, 0, 0.9], boxes)


def test_the_wrong_models_are_not_joined(saved, saved_model_dir, tmp_path, monkeypatch):
    # Each is loaded once.
    monkeypatch.setattr(loading, "load_model", functools.cache(loading.load_model))
    rest = (str(tmp_path / "out"), 1, 0.3, 5, False)
    with pytest.raises(JoiningError, match="--detector=.*; it is a pose model"):
        join(str(saved_model_dir), str(saved_model_dir), *rest)
    with pytest.raises(JoiningError, match="--pose=.*; it is a detection"):
        join(str(saved), str(saved), *rest)
    with pytest.raises(JoiningError, match=r"--category_id=3 .*2 \(disc\), 4 \(bar\)"):
        arguments = (rest[0], 3, *rest[2:])
        join(str(saved), str(saved_model_dir), *arguments)
    assert not (tmp_path / "out").exists()
