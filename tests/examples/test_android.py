"""The Android app's arithmetic, in Kotlin, gives the numbers that Python gives.

Its sources are compiled with android/Answers.kt, which is asked here what those compute
that need no Android; Python's own classes say what is right. Of Android, CameraX and
LiteRT there are names and types alone, in android/declarations.txt: the app itself is
neither built nor run. Debian's packages kotlin and libandroid-json-java have all that
this takes.
"""

import base64
import dataclasses
import inspect
import io
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.hardware_accelerator import HardwareAccelerator
from tracked_people import SKELETON, body, prediction

from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.ops import person_boxes
from hrnet_tf.serving import tflite
from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.detection.metadata import CANVAS_COLOR, DetectionMetadata
from hrnet_tf.serving.detection.predictor import fit_image
from hrnet_tf.serving.graphs import MobileModule, signature
from hrnet_tf.serving.pose.metadata import Codec, PoseMetadata
from hrnet_tf.serving.predictor import DEFAULT_STYLE
from hrnet_tf.serving.predictors import load_predictor
from hrnet_tf.serving.tracking import crops, follower, motion, similarity, tracker
from hrnet_tf.serving.tracking.assignment import best_pairs
from hrnet_tf.serving.tracking.follower import Follower
from hrnet_tf.serving.tracking.one_euro import OneEuroFilter, Smoothing

APP = Path(__file__).parents[2] / "examples/android/app/src/main"
SOURCES = APP / "kotlin"
WITHOUT_ANDROID = ("image", "models", "people")
BESIDE = Path(__file__).with_name("android")
JSON_JAR = Path("/usr/share/java/com.android.json.jar")

HAS_KOTLIN = shutil.which("kotlinc") is not None and JSON_JAR.exists()
needs_kotlin = pytest.mark.skipif(
    not HAS_KOTLIN, reason="needs Debian's kotlin and libandroid-json-java"
)

Ask = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def ask(tmp_path_factory) -> Ask:
    """Returns a function that takes cases and returns Kotlin's answers."""
    folder = tmp_path_factory.mktemp("kotlin")
    declared = folder / "declared"
    _, *parts = (BESIDE / "declarations.txt").read_text().split("// ---- ")
    for part in parts:
        name, content = part.split("\n", 1)
        (declared / name).parent.mkdir(parents=True, exist_ok=True)
        (declared / name).write_text(content)
    sources = [SOURCES, BESIDE / "Answers.kt", declared]
    options = ["-nowarn", "-cp", str(JSON_JAR), "-d", str(folder)]
    compiled = subprocess.run(
        ["kotlinc", *map(str, sources), *options],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert compiled.returncode == 0, compiled.stderr

    def answers(*cases: dict[str, Any]) -> list[Any]:
        asked, answered = folder / "cases.json", folder / "answers.json"
        asked.write_text(json.dumps(cases))
        words = ["AnswersKt", str(asked), str(answered)]
        done = subprocess.run(
            ["kotlin", "-cp", f"{folder}:{JSON_JAR}", *words],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(answered.read_text())

    return answers


def slow_with_kotlin(test):
    """The compiler takes about twenty seconds, once for all tests that ask it."""
    return needs_kotlin(pytest.mark.slow(test))


# ---- the app's files ----


def test_what_is_tested_needs_no_android():
    for name in WITHOUT_ANDROID:
        for file in (SOURCES / "com/example/hrnet" / name).glob("*.kt"):
            lines = file.read_text().splitlines()
            imported = [line.split()[1] for line in lines if line.startswith("import ")]
            for used in imported:
                assert re.match(r"(com\.example\.hrnet|java|kotlin|org\.json)\.", used)
            assert "android." not in file.read_text(), file


def test_files_are_where_their_packages_say():
    files = list(SOURCES.rglob("*.kt"))
    assert len(files) > 20
    for file in files:
        package = ".".join(file.relative_to(SOURCES).parent.parts)
        assert f"\npackage {package}\n" in f"\n{file.read_text()}", file
        assert max(map(len, file.read_text().splitlines())) <= 100, file


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("Tracker", tracker),
        ("Follower", follower),
        ("NextCrop", crops),
        ("Similarity", similarity),
        ("Motion", motion),
    ],
)
def test_constants_are_pythons(file, module):
    text = (SOURCES / f"com/example/hrnet/people/{file}.kt").read_text()
    told = re.findall(r"const val (\w+) = ([\d.]+)\n", text)
    assert told
    for name, value in told:
        own = getattr(module, f"_{name}", None) or getattr(module, name)
        assert float(value) == own, name


def test_defaults_are_pythons():
    def told(file: str) -> dict[str, float]:
        text = (SOURCES / f"com/example/hrnet/{file}.kt").read_text()
        found = re.findall(r"val (\w+): (?:Double|Int) = ([\d.]+)", text)
        return {name: float(value) for name, value in found}

    smoothing = {
        re.sub("_(.)", lambda match: match[1].upper(), name): value
        for name, value in dataclasses.asdict(Smoothing()).items()
    }
    assert told("people/OneEuroFilter") == smoothing
    names = {"patience": "patience", "leastScore": "least_score"}
    names["threshold"] = "keypoint_score_threshold"
    defaults = inspect.signature(tracker.Tracker).parameters
    assert told("people/Tracker") == {
        name: defaults[own].default for name, own in names.items()
    }
    assert told("people/Follower") == {"detectEvery": follower.DETECT_EVERY}
    own = DEFAULT_STYLE.box_score_threshold
    assert told("models/DetectorModel") == {"leastScore": own}


def test_the_manifest_and_texts_fit_the_sources():
    manifest = ElementTree.parse(APP / "AndroidManifest.xml").getroot()
    name = "{http://schemas.android.com/apk/res/android}name"
    activity = manifest.find("application/activity").get(name)
    assert (SOURCES / f"com/example/hrnet/{activity[1:].replace('.', '/')}.kt").exists()
    texts = ElementTree.parse(APP / "res/values/strings.xml").getroot()
    used = {
        word
        for file in [*SOURCES.rglob("*.kt"), APP / "AndroidManifest.xml"]
        for word in re.findall(r"(?:R\.string\.|@string/)(\w+)", file.read_text())
    }
    assert used == {text.get("name") for text in texts}


def test_the_project_has_what_the_sources_count_on():
    android = "{http://schemas.android.com/apk/res/android}"
    manifest = ElementTree.parse(APP / "AndroidManifest.xml").getroot()
    asked = [one.get(f"{android}name") for one in manifest.iter("uses-permission")]
    assert asked == ["android.permission.CAMERA"]
    # MainActivity hears of turns, and is not made anew by them.
    changes = manifest.find("application/activity").get(f"{android}configChanges")
    assert {"orientation", "screenSize"} <= set(changes.split("|"))
    build = (APP.parents[1] / "build.gradle.kts").read_text()
    assert 'noCompress += "tflite"' in build  # Models.kt maps them.
    assert 'namespace = "com.example.hrnet"' in build  # R's package.


def test_versions_are_told_as_they_are():
    folder = APP.parents[2]
    plugins = (folder / "build.gradle.kts").read_text()
    libraries = (folder / "app/build.gradle.kts").read_text()
    wrapper = folder / "gradle/wrapper/gradle-wrapper.properties"
    texts = {
        "Gradle plugin": plugins.split('application") version "')[1],
        "Kotlin": plugins.split('kotlin.android") version "')[1],
        "CameraX": libraries.split("camera-view:")[1],
        "LiteRT": libraries.split("litert:litert:")[1],
        "Gradle": wrapper.read_text().split("gradle-")[1],
    }
    page = " ".join((folder.parents[1] / "docs/android.md").read_text().split())
    for name, text in texts.items():
        version = re.match(r"\d+\.\d+", text)[0]
        assert f"{name} {version}" in page, name
    assert len(set(re.findall(r"camera-\w+:([\d.]+)", libraries))) == 1
    assert len(set(re.findall(r"litert(?:-gpu)?:([\d.]+)", libraries))) == 1


# ---- pictures ----


def smooth_image(height: int, width: int) -> np.ndarray:
    """uint8 [height, width, 3] of which a level's rounding can be told."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9 + y / 7), np.cos(x / 5 - y / 11), np.sin((x + 2 * y) / 13)]
    return np.uint8(127 + 100 * np.stack(waves, axis=-1))


def frame_of(image: np.ndarray, degrees: int = 0, spare: int = 0) -> dict[str, Any]:
    """An upright image as a camera keeps it, which has to be turned clockwise.

    Args:
        image: uint8 [H, W, 3].
        degrees: 0, 90, 180 or 270.
        spare: Bytes at the end of each row.
    """
    stored = np.rot90(image, degrees // 90)  # against the clock
    height, width = stored.shape[:2]
    rgba = np.full([height, 4 * width + spare], 77, np.uint8)
    alpha = np.full([height, width, 1], 255, np.uint8)
    rgba[:, : 4 * width] = np.concatenate([stored, alpha], -1).reshape(height, -1)
    pixels = base64.b64encode(rgba.tobytes()).decode()
    row_bytes = rgba.shape[1]
    told = {"pixels": pixels, "width": width, "height": height, "degrees": degrees}
    return {**told, "row_bytes": row_bytes}


def picture(text: str, height: int, width: int) -> np.ndarray:
    pixels = np.frombuffer(base64.b64decode(text), np.uint8)
    return pixels.reshape(height, width, 3)


def assert_same_picture(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal but for roundings."""
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 2 and difference.mean() < 0.2


@slow_with_kotlin
@pytest.mark.parametrize("udp", [False, True])
def test_crops_and_the_way_back(ask, udp):
    image = smooth_image(120, 160)
    boxes = [[40, 20, 50, 80], [-10, 60, 60, 30.5], [120, 90, 80, 70], [10, 10, 9, 9]]
    points = [[0, 0], [31, 63], [12.25, 40.5]]
    turns = [(0, 0), (90, 8), (180, 0), (270, 4)]
    size = {"width": 32, "height": 64, "padding": 1.25, "udp": udp, "points": points}
    cases = [
        {"do": "crop", "frame": frame_of(image, *turn), "box": box, **size}
        for box, turn in zip(boxes, turns, strict=True)
    ]
    matrices = person_boxes.crop_to_image_matrices(
        np.float32(boxes), (64, 32), 1.25, udp
    )
    expected = person_boxes.warp_crops(image, matrices, (64, 32))
    for answer, crop, matrix in zip(ask(*cases), expected, matrices, strict=True):
        assert_same_picture(picture(answer["crop"], 64, 32), crop)
        mapped = np.array(points) @ matrix[:, :2].T + matrix[:, 2]
        np.testing.assert_allclose(answer["points"], mapped, atol=1e-4)


@slow_with_kotlin
@pytest.mark.parametrize("size", [(120, 160), (161, 97), (20, 30)])
def test_a_detectors_canvas_and_the_way_back(ask, size):
    image = smooth_image(*size)
    boxes = [[3, 4, 20, 30], [40, 40, 50, 50]]
    canvas = {"width": 64, "height": 64, "padding": CANVAS_COLOR, "boxes": boxes}
    case = {"do": "fit", "frame": frame_of(image, 90), **canvas}
    (answer,) = ask(case)
    expected, scale = fit_image(image, (64, 64))
    assert_same_picture(picture(answer["canvas"], 64, 64), expected)
    mapped = np.array(boxes) / scale
    ends = np.minimum(mapped[:, :2] + mapped[:, 2:], size[::-1])
    starts = np.minimum(mapped[:, :2], size[::-1])
    mapped = np.concatenate([starts, ends - starts], axis=1)
    np.testing.assert_allclose(answer["boxes"], mapped, atol=1e-4)


@slow_with_kotlin
def test_the_overlay_lies_on_the_preview(ask):
    # A frame of 480x640 in the middle of a view of 1000x2000, 1000 / 480 as large.
    view = {"do": "view", "image_width": 480, "image_height": 640}
    view = {**view, "view_width": 1000, "view_height": 2000}
    top = (2000 - 640 / 0.48) / 2
    plain, mirrored = ask(
        {**view, "mirrored": False, "point": [119.5, 0]},
        {**view, "mirrored": True, "point": [119.5, 0]},
    )
    np.testing.assert_allclose(plain, [250, top + 0.5 / 0.48])
    np.testing.assert_allclose(mirrored, [750, top + 0.5 / 0.48])


# ---- people ----


@slow_with_kotlin
def test_pairs_are_the_best(ask):
    generator = np.random.default_rng(3)
    shapes = [(0, 0), (1, 3), (3, 1), (4, 4), (6, 3), (5, 8)]
    tables = [np.round(generator.random(shape), 4) for shape in shapes for _ in "123"]
    # The best of all is not the best of each.
    tables.append(np.array([[0.9, 0.8], [0.8, 0.1]]))
    cases = [
        {"do": "pairs", "similarities": table.tolist(), "least": 0.3}
        for table in tables
    ]
    for table, answer in zip(tables, ask(*cases), strict=True):
        expected = np.full(len(table), -1)
        for row, column in best_pairs(table, 0.3):
            expected[row] = column
        assert answer == expected.tolist()


def walk(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Somebody who walks, rests and trembles: keypoints [N, 17, 3], seconds [N].

    The camera's times vary, points are missing for a while, and one for long.
    """
    generator = np.random.default_rng(4)
    seconds = np.cumsum(generator.uniform(0.02, 0.07, count))
    places = 60 + 40 * np.minimum(seconds, 1.2)
    table = np.array([body(place)[0] for place in places])
    table[..., :2] += generator.normal(0, 1.5, table[..., :2].shape)
    table[..., 2] = generator.uniform(0.21, 0.9, table.shape[:2])
    table[10:14, 3:6, 2] = 0.1
    table[8:40, 9, 2] = 0.0
    table[20, 2, :2] = np.nan
    table[30, :, 2] = 0.05
    return np.float32(table), seconds


@slow_with_kotlin
def test_the_one_euro_filter(ask):
    table, seconds = walk(60)
    sizes = np.linspace(40, 80, 60)
    frames = [
        # JSON has no NaN but as a text.
        {"keypoints": np.where(np.isnan(keypoints), "NaN", keypoints).tolist()}
        for keypoints in table
    ]
    for frame, time, size in zip(frames, seconds, sizes, strict=True):
        frame.update(seconds=time, size=size)
    (answer,) = ask({"do": "filter", "frames": frames})
    smooth = OneEuroFilter(17, Smoothing())
    expected = [
        smooth.update(keypoints, time, size)
        for keypoints, time, size in zip(table, seconds, sizes, strict=True)
    ]
    np.testing.assert_allclose(answer, expected, atol=1e-3)
    assert np.abs(np.array(answer)[5:, 0, 0] - table[5:, 0, 0]).max() > 0.5


@slow_with_kotlin
def test_the_next_crop_follows_the_last_keypoints(ask):
    table, _ = walk(31)
    box = [40.0, 50.0, 44.0, 108.0]
    few = table[0].copy()
    few[2:, 2] = 0.1
    given = [(table[0], 0.8), (table[9], 0.0), (table[30], 0.8), (few, 0.8)]
    outside = [[390.0, 50.0, 80.0, 80.0], [5.0, 10.0, 40.0, 90.0]]
    around = [
        {"do": "around", "keypoints": k.tolist(), "box": box, "least_side": least}
        for k, least in given
    ]
    there = [
        {"do": "there", "keypoints": k.tolist(), "box": b, "width": 400, "height": 200}
        for k, _ in given
        for b in outside
    ]
    answers = ask(*around, *there)
    expected = [crops.box_around(k, np.array(box), 0.2, least) for k, least in given]
    np.testing.assert_allclose(answers[:4], expected, atol=1e-4)
    for answer, case in zip(answers[4:], there, strict=True):
        keypoints, one = np.array([case["keypoints"]]), np.array([case["box"]])
        assert answer == crops.is_there(keypoints, one, (200, 400), 0.2, 0.3)[0]
    assert answers[4:6] == [False, True]


def crowd(time: float) -> list:
    """People who walk, cross and hide; one comes, and goes."""
    walkers = [body(60 + 70 * time, score=0.8), body(330 - 65 * time, 56, 44, 110)]
    is_hidden = abs(walkers[0][1][0] - walkers[1][1][0]) < 16
    newcomers = [body(200, 20, 30, 70)] if 0.8 < time < 2.4 else []
    return walkers[1 if is_hidden else 0 :] + newcomers


def alone(time: float) -> list:
    return [body(100 + 60 * time, 56, 44, 110)]


def behind(time: float) -> list:
    """Somebody stands close behind another, and is hidden for a while."""
    return [body(200), *([] if 0.1 < time < 0.4 else [body(222)])]


def jump(time: float) -> list:
    """Somebody is elsewhere at once, and comes back after being forgotten."""
    return [body(100), body(300 if time < 0.5 else 200)][: 1 if 1 < time < 4.5 else 2]


def slip(time: float) -> list:
    return [body(200 if time < 0.1 else 216)]


def between(time: float) -> list:
    """Somebody is lost, and the other comes nearer to that place than to the own."""
    if time < 0.5:
        return [body(200), body(216)]
    return [body(200 if time < 0.8 else 209)]


def edge(time: float) -> list:
    """Somebody leaves the picture."""
    return [body(300 + 90 * time), body(100)]


# Who is there, how often the detector looks (0: there is none), and how many it sees.
SCENES = {
    "crowd": (crowd, 7, 9),
    "alone": (alone, 0, 9),
    "behind": (behind, 100, 9),
    "beside": (lambda _: [body(200), body(212)], 1, 1),
    "jump": (jump, 100, 9),
    "slip": (slip, 2, 9),
    "between": (between, 100, 9),
    "edge": (edge, 6, 9),
}


class Street:
    """A pose model and a detector of people in a scene.

    Attributes:
        calls: Boxes and people of each call of the pose model in this frame.
        detected: What the detector found in this frame.
    """

    unit = "people"
    needs_boxes = True
    finds_people_apart = False

    def __init__(self, people_at: Callable[[float], list], most_detected: int):
        self._people_at, self._most_detected = people_at, most_detected
        self._generator = np.random.default_rng(5)
        self.begin(0.0)

    def begin(self, time: float) -> None:
        self.calls: list[Any] = []
        self.detected = Boxes.of([])
        self._people = self._people_at(time)

    def find_people(self, image):
        tables = [box + self._generator.normal(0, 1, 4) for _, box in self._people]
        tables = tables[: self._most_detected]
        scores = [0.9 - 0.1 * place for place in range(len(tables))]
        self.detected = Boxes(np.float32(tables), np.float32(scores))
        return self.detected

    def predict_image(self, image, boxes):
        found = [self._look(box) for box in boxes.boxes]
        scores = [keypoints[:, 2].mean() for keypoints, _ in found]
        people = prediction(*found, scores=scores)
        self.calls.append((boxes.boxes, people))
        return people

    def _look(self, box):
        """Whoever is nearest to the middle of a box, if inside."""
        middle = box[0] + box[2] / 2
        nearest = min(self._people, key=lambda one: abs(one[1][0] + 20 - middle))
        if abs(nearest[1][0] + 20 - middle) > box[2] / 2 + 9:
            return body(middle, score=0.05)[0], box
        keypoints = nearest[0] + self._generator.normal(0, [0.5, 0.5, 0.02], (17, 3))
        keypoints[self._generator.integers(17), 2] = 0.1
        return keypoints, box


@slow_with_kotlin
@pytest.mark.parametrize("scene", SCENES)
def test_people_keep_their_numbers_as_in_python(ask, scene):
    people_at, every, most_detected = SCENES[scene]
    street = Street(people_at, most_detected)
    detector = street if every else None
    following = Follower(street, detector, detect_every=every or 10)
    image = np.zeros([200, 400, 3], np.uint8)
    frames, asked, told = [], [], []
    times = np.cumsum(np.random.default_rng(7).uniform(0.03, 0.07, 100))
    for seconds in times.tolist():
        street.begin(seconds)
        told.append(following.look(image, seconds))
        calls = [
            [
                {"keypoints": keypoints.tolist(), "score": float(score)}
                for keypoints, score in zip(found.keypoints, found.scores, strict=True)
            ]
            for _, found in street.calls
        ]
        scores = street.detected.scores[:, np.newaxis]
        detected = np.hstack([street.detected.boxes, scores]).tolist()
        frames.append({"seconds": seconds, "calls": calls, "detected": detected})
        asked.append([boxes for boxes, _ in street.calls])
    settings = {"has_detector": every > 0, "detect_every": every or 10}
    size = {"width": 400, "height": 200, "sigmas": SKELETON.sigmas}
    (answer,) = ask({"do": "follow", "frames": frames, **settings, **size})
    assert answer["detector_calls"] == following.detector_calls
    for found, boxes, expected in zip(answer["frames"], asked, told, strict=True):
        for one, other in zip(found["asked"], boxes, strict=True):
            np.testing.assert_allclose(one, other.tolist(), atol=1e-2)
        people = found["people"]
        assert [one["number"] for one in people] == expected.track_ids.tolist()
        for one, keypoints, box in zip(
            people, expected.keypoints, expected.boxes, strict=True
        ):
            np.testing.assert_allclose(one["keypoints"], keypoints, atol=1e-2)
            np.testing.assert_allclose(one["box"], box, atol=1e-2)


# ---- models ----


class Constant(MobileModule):
    """A network whose answer depends on nothing but a little on the picture."""

    def __init__(self, shape, outputs):
        super().__init__()
        self._shape, self._told = shape, outputs

    def mobile_function(self, with_maps=False):
        def predict(image):
            light = tf.reduce_mean(tf.cast(image, tf.float32)) / 255
            return {
                name: value + tf.cast(light * 0.1, value.dtype)
                for name, value in self._told.items()
            }

        return signature(predict, tf.TensorSpec(self._shape, tf.uint8, "image"))

    def predict_maps(self, images):
        raise AssertionError("not asked for")

    def signatures(self):
        raise AssertionError("not asked for")


@pytest.fixture(scope="module")
def pose_file(tmp_path_factory) -> str:
    """A pose network of two crops at once, in UDP's geometry."""
    metadata = PoseMetadata(
        model="toy",
        skeleton=load_skeleton("coco17"),
        input_size=(64, 32),
        codec=Codec("udp", 2.0),
        box_padding=1.2,
        keypoint_score_threshold=0.3,
        flip_test=False,
        batch_size=2,
    )
    told = np.random.default_rng(6).random((2, 17, 3), np.float32)
    return written(tmp_path_factory, (2, 64, 32, 3), {"keypoints": told}, metadata)


@pytest.fixture(scope="module")
def detector_file(tmp_path_factory) -> str:
    metadata = DetectionMetadata(
        model="toy",
        detector="retinanet",
        categories={1: "dog", 4: "person"},
        input_size=(48, 64),
        has_masks=False,
        max_detections=5,
    )
    boxes = [[4, 5, 20, 30], [1, 1, 9, 9], [30, 6, 40, 30], [2, 2, 9, 9], [0, 0, 0, 0]]
    told = {
        "boxes": np.float32([boxes]),
        "classes": np.int32([[4, 1, 4, 4, 0]]),
        "scores": np.float32([[0.9, 0.8, 0.7, 0.1, 0.0]]),
        "num_detections": np.int32([4]),
    }
    return written(tmp_path_factory, (1, 48, 64, 3), told, metadata)


def written(tmp_path_factory, shape, told, metadata) -> str:
    outputs = {name: tf.constant(value) for name, value in told.items()}
    path = tmp_path_factory.mktemp("models") / f"{metadata.task}.tflite"
    path.write_bytes(tflite.convert(Constant(shape, outputs), metadata))
    return str(path)


def recording(predictor) -> list[dict[str, Any]]:
    """What a model's file is given and answers from now on."""
    runs: list[dict[str, Any]] = []
    run = predictor._model.run

    def recorded(image):
        outputs = run(image=image)
        flat = {name: value.ravel().tolist() for name, value in outputs.items()}
        runs.append({**flat, "image": image})
        return outputs

    object.__setattr__(predictor._model, "run", recorded)
    return runs


def without_image(runs):
    return [{k: v for k, v in run.items() if k != "image"} for run in runs]


def test_litert_runs_a_file_by_the_names_in_it(detector_file):
    """As the app does: LiteRT's Python has the same `CompiledModel`."""
    predictor = load_predictor(detector_file)
    told = predictor.metadata.file_tensors
    model = CompiledModel.from_file(detector_file, HardwareAccelerator.CPU)
    (name,) = model.get_signature_list()
    inputs = {key: model.create_input_buffer_by_name(name, key) for key in told.inputs}
    outputs = {
        key: model.create_output_buffer_by_name(name, key) for key in told.outputs
    }
    image = smooth_image(*told.inputs["image"].shape[1:3])
    inputs["image"].write(image)
    model.run_by_name(name, inputs, outputs)
    expected = predictor._model.run(image=image[np.newaxis])
    for key, tensor in told.outputs.items():
        size = int(np.prod(tensor.shape))
        found = outputs[key].read(size, np.dtype(tensor.dtype).type)
        np.testing.assert_allclose(found, expected[key].ravel(), atol=1e-5)


@slow_with_kotlin
def test_names_and_shapes_are_read_from_the_file(ask, pose_file, detector_file):
    pose, detector = ask(
        {"do": "describe", "file": pose_file}, {"do": "describe", "file": detector_file}
    )
    assert pose == {
        "inputs": {"image": ["uint8", 2, 64, 32, 3]},
        "outputs": {"keypoints": ["float32", 2, 17, 3]},
        "suits_gpu": True,
    }
    assert detector == {
        "inputs": {"image": ["uint8", 1, 48, 64, 3]},
        "outputs": {
            "boxes": ["float32", 1, 5, 4],
            "classes": ["int32", 1, 5],
            "scores": ["float32", 1, 5],
            "num_detections": ["int32", 1],
        },
        "suits_gpu": True,
    }


@slow_with_kotlin
@pytest.mark.parametrize(
    ("given", "other"),
    [
        (b'"in_8_bits": 0', b'"in_8_bits": 3'),
        (b'"not_on_gpu": {}', b'"not_on_gpu":{"a":1}'),
    ],
)
def test_what_gpus_do_not_take_is_for_the_cpu(ask, pose_file, tmp_path, given, other):
    content = Path(pose_file).read_bytes()
    assert content.count(given) == 1
    # Of the same length, as the archive's table says; spaces after a line are free.
    spare = len(other) - len(given)
    line = content[content.index(given) :].split(b"\n")[1]
    indent = line[: len(line) - len(line.lstrip())]
    assert spare <= len(indent)
    changed = content.replace(given + b",\n" + indent[:spare], other + b",\n")
    (tmp_path / "model").write_bytes(changed)
    (answer,) = ask({"do": "describe", "file": str(tmp_path / "model")})
    assert answer["suits_gpu"] is False


@slow_with_kotlin
def test_files_of_others_are_refused_in_a_sentence(ask, pose_file, tmp_path):
    content = Path(pose_file).read_bytes()
    for name, damaged in (
        ("short", b"TFL3"),
        ("empty", b""),
        ("cut", content[: len(content) // 2]),
        ("no_json", content.replace(b"hrnet_tf.json", b"hrnet_tf.jsom")),
        ("earlier", content.replace(b'"tensors"', b'"tensore"')),
        ("bent", content.replace(b'"hrnet_tf_version":', b'"hrnet_tf_version",')),
    ):
        (tmp_path / name).write_bytes(damaged)
    names = ["short", "empty", "cut", "no_json", "earlier", "bent"]
    cases = [{"do": "describe", "file": str(tmp_path / name)} for name in names]
    told = [answer["refused"] for answer in ask(*cases)]
    assert told[0] == "model holds no hrnet_tf.json: export it with hrnet_tf.export."
    assert told[1:4] == told[:1] * 3
    assert told[4].startswith("model does not tell its inputs: export it again")
    assert told[5] == "model: its hrnet_tf.json is damaged."


def repacked(
    file: str, change: Callable[[Any], Any] = lambda told: None, packs: bool = False
) -> bytes:
    """A model whose description somebody changed, or packed, with another tool."""
    content = Path(file).read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        told = json.loads(archive.read("hrnet_tf.json"))
        start = min(entry.header_offset for entry in archive.infolist())
    change(told)
    changed = io.BytesIO()
    changed.write(content[:start])
    method = zipfile.ZIP_DEFLATED if packs else zipfile.ZIP_STORED
    with zipfile.ZipFile(changed, "a", method) as archive:
        archive.writestr("labels.txt", "a\nb\n")
        archive.writestr("hrnet_tf.json", json.dumps(told))
        archive.comment = b"PK\5\6, which an archive's end begins with, and more."
    return changed.getvalue()


@slow_with_kotlin
def test_descriptions_may_be_packed(ask, pose_file, tmp_path):
    content = repacked(pose_file, packs=True)
    table = content.rindex(b"PK\1\2")
    length = int.from_bytes(content[table + 20 : table + 24], "little")
    first = table - length
    huge = (2**31 - 1).to_bytes(4, "little")
    files = {
        "packed": content,
        "bent": content[:first] + b"\xff" * 8 + content[first + 8 :],
        "huge": content[: table + 24] + huge + content[table + 28 :],
    }
    for name, changed in files.items():
        (tmp_path / name).write_bytes(changed)
    cases = [{"do": "describe", "file": str(tmp_path / name)} for name in files]
    packed, *damaged, whole = ask(*cases, {"do": "describe", "file": pose_file})
    assert packed == whole
    assert damaged == [{"refused": "model: its hrnet_tf.json is damaged."}] * 2


@slow_with_kotlin
def test_models_of_no_use_are_refused_in_a_sentence(
    ask, pose_file, detector_file, tmp_path
):
    def another_input(told):
        told["tensors"]["inputs"]["image"]["type"] = "float32"

    def another_output(told):
        told["tensors"]["outputs"]["num_detections"]["shape"] = [1, 5]

    def cats(told):
        told["categories"][1]["name"] = "cat"

    faults = [
        ("pose", detector_file, dict, "model is a detection model, not one for pose."),
        ("detect", pose_file, dict, "model is a pose model, not one for detection."),
        ("pose", pose_file, another_input, "model takes something else than pictures."),
        (
            "detect",
            detector_file,
            another_output,
            "model has no output num_detections of 1 dimensions (int32).",
        ),
        ("detect", detector_file, cats, "model finds no people."),
        (
            "pose",
            pose_file,
            lambda told: told.pop("box_padding"),
            "model: its hrnet_tf.json is not as expected.",
        ),
    ]
    cases = []
    for place, (use, file, change, _) in enumerate(faults):
        (tmp_path / str(place)).write_bytes(repacked(file, change))
        cases.append({"do": use, "file": str(tmp_path / str(place)), "runs": []})
    told = [answer["refused"] for answer in ask(*cases)]
    assert told == [sentence for *_, sentence in faults]


@slow_with_kotlin
def test_the_only_class_of_a_detector_is_peoples(ask, detector_file, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(repacked(detector_file, lambda told: told["categories"].pop()))
    boxes = {"boxes": [4, 5, 20, 30, 1, 1, 9, 8], "num_detections": [2]}
    run = {**boxes, "classes": [4, 1], "scores": [0.9, 0.8]}
    image = frame_of(smooth_image(48, 64))
    (answer,) = ask({"do": "detect", "file": str(path), "runs": [run], "frame": image})
    np.testing.assert_allclose(answer["boxes"], [[1, 1, 9, 8]])


@slow_with_kotlin
def test_a_pose_model_finds_what_python_finds(ask, pose_file):
    predictor = load_predictor(pose_file)
    image = smooth_image(120, 160)
    table = [[40, 20, 50, 80], [100, 60, 60, 50], [5, 5, 20, 60]]
    boxes = Boxes(np.float32(table), np.float32([0.9, 0.8, 0.7]))
    runs = recording(predictor)
    expected = predictor.predict_image(image, boxes)
    given = np.hstack([boxes.boxes, boxes.scores[:, np.newaxis]]).tolist()
    case = {"file": pose_file, "frame": frame_of(image, 270), "boxes": given}
    (answer,) = ask({"do": "pose", "runs": without_image(runs), **case})
    assert len(answer["given"]) == len(runs) == 2
    for found, run in zip(answer["given"], runs, strict=True):
        assert_same_picture(picture(found, 128, 32), run["image"].reshape(128, 32, 3))
    people = answer["people"]
    keypoints = [one["keypoints"] for one in people]
    np.testing.assert_allclose(keypoints, expected.keypoints, atol=1e-3)
    scores = [one["score"] for one in people]
    np.testing.assert_allclose(scores, expected.scores, atol=1e-5)
    skeleton = predictor.metadata.skeleton
    ends = [tuple(limb[:2]) for limb in answer["limbs"]]
    assert ends == list(skeleton.limbs)
    colors = np.array([limb[2] for limb in answer["limbs"]], np.int64) & 0xFFFFFFFF
    parts = [
        (color >> 24, color >> 16 & 255, color >> 8 & 255, color & 255)
        for color in colors.tolist()
    ]
    assert parts == [(255, *color) for color in skeleton.limb_colors]


@slow_with_kotlin
def test_a_detector_finds_the_people_that_python_finds(ask, detector_file):
    predictor = load_predictor(detector_file)
    image = smooth_image(120, 150)
    runs = recording(predictor)
    expected = predictor.find_people(image)
    assert len(expected.boxes) == 2
    case = {"file": detector_file, "frame": frame_of(image, 180, 12)}
    (answer,) = ask({"do": "detect", "runs": without_image(runs), **case})
    np.testing.assert_allclose(answer["boxes"], expected.boxes, atol=1e-3)
    np.testing.assert_allclose(answer["scores"], expected.scores, atol=1e-6)
    (given,) = answer["given"]
    assert_same_picture(picture(given, 48, 64), runs[0]["image"][0])
