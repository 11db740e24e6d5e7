"""Damaged exported models, made by Hypothesis: the same answers, or a sentence."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import strategies as st

from hrnet_tf.configs import segmentation
from hrnet_tf.data.vocabularies.label_sets import load_label_set
from hrnet_tf.serving.detection.metadata import DetectionMetadata
from hrnet_tf.serving.metadata import parse
from hrnet_tf.serving.people.metadata import PeopleMetadata
from hrnet_tf.serving.pose.metadata import PoseMetadata
from hrnet_tf.serving.predictors import load_predictor
from hrnet_tf.serving.segmentation.metadata import SegmentationMetadata

DAMAGES = ("flip", "cut", "add", "zero", "repeat")


def few_and_many(few: int, many: int):
    marks = [pytest.mark.slow, pytest.mark.faults]
    return pytest.mark.parametrize("count", [few, pytest.param(many, marks=marks)])


def damaged(draw, content: bytes) -> bytes:
    """Bytes that are not `content`, but nearly."""
    place = draw(st.integers(0, len(content) - 1))
    if draw(st.booleans()):  # Where files say what is in them.
        place = len(content) - 1 - place % 600
    how = draw(st.sampled_from(DAMAGES))
    if how == "cut":
        return content[:place]
    if how == "add":
        return content + draw(st.binary(min_size=1, max_size=30))
    if how == "repeat":
        return content[:place] + content[place - 20 :]
    length = 1 if how == "flip" else draw(st.integers(1, 2000))
    old = content[place : place + length]
    new = bytes([old[0] ^ 1 << draw(st.integers(0, 7))]) if how == "flip" else b""
    return content[:place] + new.ljust(len(old), b"\0") + content[place + len(old) :]


@few_and_many(60, 1500)
def test_a_damaged_file_is_never_run(count, fuzz, tflite_file, tmp_path):
    content = tflite_file.read_bytes()
    path = tmp_path / "m.tflite"

    def read(changed: bytes) -> None:
        path.write_bytes(changed)
        load_predictor(str(path))
        assert changed == content

    fuzz(count, st.composite(lambda draw: damaged(draw, content))(), read)


@few_and_many(6, 300)
def test_a_damaged_file_that_is_taken_as_it_is_harms_nobody(
    count, fuzz, tflite_file, tmp_path
):
    content = tflite_file.read_bytes()
    path = tmp_path / "m.tflite"

    def read(changed: bytes) -> None:
        path.write_bytes(changed)
        load_predictor(str(path), verify=False)

    fuzz(count, st.composite(lambda draw: damaged(draw, content))(), read)


@few_and_many(40, 1000)
def test_a_damaged_folder_is_never_loaded(count, fuzz, saved_model_dir, tmp_path):
    folder = Path(shutil.copytree(saved_model_dir, tmp_path / "1"))
    contents = {
        path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }

    @st.composite
    def change(draw):
        path = draw(st.sampled_from(list(contents)))
        return path, damaged(draw, contents[path])

    def read(changed: tuple[Path, bytes]) -> None:
        path, content = changed
        path.write_bytes(content)
        try:
            load_predictor(str(folder))
            assert content == contents[path]
        finally:
            path.write_bytes(contents[path])

    fuzz(count, change(), read)


# ---- descriptions ----

TEXTS = st.one_of(st.sampled_from(["", "nose", "fixed", "\ud800"]), st.text(max_size=4))
NUMBERS = st.one_of(
    st.sampled_from([0, -1, 10**9, 10**400, 1e-320, 1e308, float("nan"), -1e999]),
    st.integers(-9, 99),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=3)
    ),
    max_leaves=6,
)


def descriptions(pose: PoseMetadata) -> list:
    size = {"input_size": (64, 64), "model": "w18"}
    detector = DetectionMetadata(
        categories={1: "person", 2: "cat"},
        detector="mask_rcnn",
        has_masks=True,
        max_detections=10,
        **size,
    )
    parser = SegmentationMetadata(
        label_set=load_label_set("synthetic_parts"),
        resizing=segmentation.Resizing(),
        upsampling="bilinear",
        flip_test=False,
        **size,
    )
    people = PeopleMetadata(
        category_id=1,
        box_score_threshold=0.3,
        max_people=3,
        detector=detector,
        pose=pose,
    )
    return [pose, detector, parser, people]


def changed_value(draw, root):
    """The value with some of its parts replaced, removed or repeated."""
    root = [json.loads(json.dumps(root))]
    for _ in range(draw(st.integers(1, 3))):
        holder, key = root, 0
        while isinstance(holder[key], (dict, list)) and holder[key]:
            if holder is not root and draw(st.integers(0, 3)) == 0:
                break
            holder = holder[key]
            keys = list(holder) if isinstance(holder, dict) else range(len(holder))
            key = draw(st.sampled_from(keys))
        how = draw(st.sampled_from(["replace", "remove", "wrap"]))
        if how == "remove" and holder is not root:
            del holder[key]
        else:
            holder[key] = [holder[key]] if how == "wrap" else draw(VALUES)
    return root[0]


@few_and_many(200, 5000)
def test_any_description_is_read_or_refused(count, fuzz, build_module):
    known = descriptions(build_module()[1])

    @st.composite
    def change(draw):
        metadata = draw(st.sampled_from(known))
        text = json.dumps(changed_value(draw, metadata.to_dict())).encode()
        return metadata, damaged(draw, text) if draw(st.integers(0, 4)) == 0 else text

    def read(changed) -> None:
        metadata, text = changed
        found = type(metadata).from_dict(parse(text, "model"), "model")
        found.saved_model_interface(), found.tflite_interface(), found.to_json()

    fuzz(count, change(), read)


@pytest.mark.parametrize("opening", [b"[", b'{"task":', b'{"task":[', b'{"a":{"a":'])
def test_deep_descriptions_are_refused(opening, fuzz):
    fuzz(3, st.integers(1000, 200_000), lambda depth: parse(opening * depth, "model"))
