"""Damaged files of every kind that users give, made by Hypothesis.

Whatever a file holds, its reader takes it, or refuses it with a `UserError`, soon. The
seed is fixed; FUZZ_SEED=7 in the environment takes another. What was found so is, at
its least, a test of the module that it was found in.
"""

import contextlib
import io
import json
import os
import struct
import time
import zlib

import cv2
import h5py
import numpy as np
import pytest
import scipy.io
import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.data.converters import pascal_context, segmentation_folder
from hrnet_tf.data.converters.label_images import read_label_image
from hrnet_tf.data.converters.segmentation import Pair
from hrnet_tf.data.files import images, media, pictures, videos
from hrnet_tf.data.files.coco_annotations import ImageEntry
from hrnet_tf.data.files.coco_objects import read_coco_objects
from hrnet_tf.data.files.coco_people import people_of, read_coco_people
from hrnet_tf.data.files.cofw_mat import CofwFile
from hrnet_tf.data.files.detections import load_detections
from hrnet_tf.data.files.face_lists import FACE_SETS, read_coco_faces, read_list
from hrnet_tf.data.files.faults import Faults, Unusable
from hrnet_tf.data.files.listed_people import to_coco
from hrnet_tf.data.files.mpii_list import read_mpii
from hrnet_tf.data.files.person_boxes import PersonBoxes
from hrnet_tf.data.vocabularies.label_sets import label_set_from_spec, load_label_set
from hrnet_tf.data.vocabularies.skeletons import load_skeleton, skeleton_from_spec
from hrnet_tf.messages import UserError
from hrnet_tf.training.experiment import parse_config

LONGEST = 20  # seconds for one file
MOST_FRAMES = 3

few_and_many = pytest.mark.parametrize(
    "count",
    [40, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.faults])],
)


def fuzz(count, strategy, read):
    """Calls `read` on what the strategy makes; other errors than `UserError` fail."""

    @settings(
        max_examples=count,
        derandomize="FUZZ_SEED" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def attempt(content):
        start = time.monotonic()
        try:
            read(content)
        except (UserError, Unusable) as error:
            assert len(str(error)) < 5000, str(error)
            str(error).encode("utf-8", "backslashreplace")
        assert time.monotonic() - start < LONGEST

    seed(int(os.environ.get("FUZZ_SEED", 0)))(attempt)()


# ---- values where others belong ----

NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 2, 7, 255, 256, 2**31, 2**63, -(2**63) - 1, 10**400]),
    st.sampled_from([0.0, -0.0, 0.5, 1.0, 1e-320, 1e9, 1e308, -1e308]),
    st.sampled_from([float("nan"), float("inf"), float("-inf")]),
    st.integers(-20, 20),
    st.floats(-50, 50),
)
TEXTS = st.one_of(
    st.sampled_from(["", " ", "a", "1", "auto", "all", "a\nb", "\0", "..", "/", "é"]),
    st.sampled_from(["\ud800", "x" * 1000, "left_a", "right_a", "\x1b[2J", "0" * 30]),
    st.text(max_size=6),
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def changed(draw, document):
    """A document with up to four values replaced, removed, repeated or renamed."""
    root = [json.loads(json.dumps(document))]
    for _ in range(draw(st.integers(0, 4))):
        holder, key = root, 0
        while isinstance(holder[key], (dict, list)) and holder[key]:
            if draw(st.integers(0, 3)) == 0:
                break
            inner = holder[key]
            keys = list(inner) if isinstance(inner, dict) else range(len(inner))
            holder, key = inner, draw(st.sampled_from(keys))
        how = draw(st.sampled_from(["replace", "replace", "remove", "repeat", "wrap"]))
        if how == "replace" or holder is root:
            holder[key] = draw(VALUES)
        elif how == "remove":
            del holder[key]
        elif how == "wrap":
            holder[key] = draw(
                st.sampled_from([[holder[key]], {"a": holder[key]}, str(holder[key])])
            )
        elif isinstance(holder, list):
            holder.insert(key, holder[key])
        else:
            holder[draw(TEXTS)] = holder[key]
    return root[0]


@st.composite
def damaged(draw, *contents):
    """Bytes with some cut out, changed, repeated or put in."""
    content = bytearray(draw(st.sampled_from(contents)))
    for _ in range(draw(st.integers(0, 6))):
        # Headers are where most of the sense is.
        last = draw(st.sampled_from([40, 400, len(content)]))
        place = draw(st.integers(0, max(0, min(last, len(content)) - 1)))
        length = draw(st.sampled_from([1, 1, 2, 4, 8, 100]))
        how = draw(st.sampled_from(["set", "set", "flip", "cut", "repeat", "end"]))
        if how == "set":
            new = draw(
                st.one_of(
                    st.sampled_from([b"\0", b"\xff", b"\x7f", b"\x80"]).map(
                        lambda byte, length=length: byte * length
                    ),
                    st.binary(min_size=1, max_size=8),
                )
            )
            content[place : place + len(new)] = new
        elif how == "flip" and content:
            content[place] ^= 1 << draw(st.integers(0, 7))
        elif how == "cut":
            del content[place : place + length]
        elif how == "repeat":
            content[place:place] = content[place : place + length]
        elif how == "end":
            del content[place:]
    return bytes(content)


def texts(document, write):
    """A document, changed as a structure or as a text, or none at all."""
    return st.one_of(
        changed(document).map(
            lambda content: write(content).encode("utf-8", "replace")
        ),
        damaged(write(document).encode()),
        VALUES.map(lambda content: write(content).encode("utf-8", "replace")),
    )


@pytest.fixture
def given_file(tmp_path):
    """Turns a reader of a path into one of a content."""

    def make(read, name="file.json"):
        path = tmp_path / name

        def read_content(content):
            path.write_bytes(content)
            read(str(path))

        return read_content

    return make


# ---- annotations, boxes, results ----

NAMES = ["left_a", "right_a"]
PERSON = {
    "id": 1,
    "image_id": 1,
    "category_id": 1,
    "bbox": [1, 2, 8, 9],
    "area": 60.5,
    "iscrowd": 0,
    "num_keypoints": 2,
    "keypoints": [3, 4, 2, 5, 6, 1],
    "segmentation": [[1, 2, 9, 2, 9, 9.5]],
}
RUNS = {**PERSON, "id": 2, "segmentation": {"size": [16, 16], "counts": [3, 5, 248]}}
CODED = {**PERSON, "id": 3, "segmentation": {"size": [16, 16], "counts": "35h7"}}
IMAGE = {"id": 1, "file_name": "cam/a1.jpg", "width": 16, "height": 16}
CATEGORY = {"id": 1, "name": "person", "keypoints": NAMES, "skeleton": [[1, 2]]}
ANNOTATIONS = {
    "images": [IMAGE, {**IMAGE, "id": 2, "file_name": "a2.jpg"}],
    "annotations": [PERSON, RUNS, CODED],
    "categories": [CATEGORY, {"id": 2, "name": "car"}],
}
RESULT = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 8, 9], "score": 0.5}
RESULTS = [RESULT, {**RESULT, "image_id": 2, "file_name": "cam/a1.jpg"}]
SKELETON = skeleton_from_spec({"name": "two", "keypoints": NAMES}, "two")


@few_and_many
@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_people(count, on_error, given_file):
    def read(path):
        for category in (None, "all", [1]):
            for area_from in (None, "segmentation"):
                faults = Faults(on_error)
                found = read_coco_people(path, SKELETON, category, faults, area_from)
                for some in found.people.values():
                    for person in some:
                        assert np.isfinite([*person.bbox, person.area]).all()

    fuzz(count, texts(ANNOTATIONS, json.dumps), given_file(read))


# ---- lists of people and of faces ----

MPII_PERSON = {
    "image": "a.jpg",
    "center": [30.5, 40],
    "scale": 0.5,
    "joints": [[5.5 + n, 6 + n] for n in range(16)],
    "joints_vis": [1] * 15 + [0],
}


def check_listed(people):
    """What was read can be written as COCO's JSON, and read again."""
    sizes = {person.file_name: (90, 80) for person in people}
    skeleton = {16: "mpii16", 19: "aflw19", 29: "cofw29"}[len(people[0].keypoints)]
    skeleton = load_skeleton(skeleton)
    content = json.loads(json.dumps(to_coco(people, sizes, skeleton, "person")))
    found = people_of("again", content, skeleton, None, Faults("skip"))
    for person in (p for some in found.people.values() for p in some):
        assert np.isfinite([*person.bbox, *person.region, person.normalizer]).all()


@few_and_many
def test_people_of_mpii(count, given_file, tmp_path):
    truth = tmp_path / "gt.mat"
    joints = np.moveaxis(np.array([MPII_PERSON["joints"]] * 2), 0, -1)
    scipy.io.savemat(
        truth,
        {
            "pos_gt_src": joints,
            "jnt_missing": np.zeros([16, 2]),
            "headboxes_src": np.array([[[1, 1], [1, 1]], [[4, 5], [5, 6]]]),
        },
    )

    def read(path):
        check_listed(read_mpii(path, "", Faults("skip")))

    def read_truth(path):
        (tmp_path / "two.json").write_text(json.dumps([MPII_PERSON] * 2))
        check_listed(read_mpii(str(tmp_path / "two.json"), path, Faults("fail")))

    read_truth(str(truth))
    fuzz(count, texts([MPII_PERSON] * 2, json.dumps), given_file(read))
    fuzz(count, damaged(truth.read_bytes()), given_file(read_truth, "gt2.mat"))


@few_and_many
def test_lists_of_faces(count, given_file):
    faces = FACE_SETS["aflw"]
    names = [*faces.columns, *(f"p{n}" for n in range(38))]
    row = ["a.jpg", 0.25, 50, 30.5, 40, *(5 + n for n in range(38))]
    table = "\n".join(",".join(map(str, line)) for line in (names, row, row))

    def read(path):
        check_listed(read_list(path, faces, Faults("skip")))

    fuzz(count, damaged(table.encode()), given_file(read, "list.csv"))


@few_and_many
def test_faces_in_coco_s_format(count, given_file):
    faces = FACE_SETS["aflw"]
    face = {**PERSON, "keypoints": [3, 4, 2] * 18 + [9, 9, 1]}
    face |= {"center": [5, 6], "scale": 0.1, "box_size": 9}
    document = {**ANNOTATIONS, "annotations": [face, {**face, "center": None}]}

    def read(path):
        content = read_coco_faces(path, faces, Faults("skip"))
        people_of(path, content, load_skeleton("aflw19"), None, Faults("skip"))

    fuzz(count, texts(document, json.dumps), given_file(read))


@few_and_many
def test_faces_of_cofw(count, given_file, tmp_path):
    faces = FACE_SETS["cofw"]
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["phisT"] = np.arange(87.0).reshape(87, 1)
        file["image"] = np.zeros([8, 9], np.uint8)
        references = file.create_dataset("IsT", (1, 1), dtype=h5py.ref_dtype)
        references[0] = [file["image"].ref]

    def read(path):
        with CofwFile(path, faces) as found:
            people = found.people(Faults("skip"))
            check_listed(people)
            for person in people:
                (height, width), _ = found.look(person.file_name)
                found.read(ImageEntry(1, person.file_name, width, height))

    content = (tmp_path / "a.mat").read_bytes()
    fuzz(count, damaged(content), given_file(read, "b.mat"))


@few_and_many
@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_objects(count, on_error, given_file):
    def read(path):
        for with_masks in (True, False):
            found = read_coco_objects(path, with_masks, Faults(on_error))
            for some in found.objects.values():
                assert np.isfinite([o.area for o in some]).all()

    fuzz(count, texts(ANNOTATIONS, json.dumps), given_file(read))


@few_and_many
def test_detections(count, given_file):
    def read(path):
        found = load_detections(path, [1], 0.1)
        assert np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()

    fuzz(count, texts(RESULTS, json.dumps), given_file(read))


@few_and_many
@pytest.mark.parametrize("document", [ANNOTATIONS, RESULTS])
def test_boxes(count, document, given_file):
    names = ["cam/a1.jpg", "a2.jpg"]

    def read(path):
        boxes = PersonBoxes(path)
        boxes.check(names)
        for name in names:
            boxes.image_id(name)
            boxes.size_of(name)
            assert np.isfinite(boxes.of_image(name)[0]).all()
        assert np.isfinite(boxes.of_frame(1)[0]).all()

    fuzz(count, texts(document, json.dumps), given_file(read))


@few_and_many
def test_regions_of_pascal_context(count, given_file, tmp_path):
    (tmp_path / "JPEGImages").mkdir()
    document = {
        "images": [{**IMAGE, "image_id": 1, "phase": "val"}],
        "annos_segmentation": [PERSON, RUNS, CODED],
    }

    def read(path):
        pairs, read_labels = pascal_context.find_pairs(str(tmp_path), path, "val")
        for pair in pairs:
            read_labels(pair, 10_000_000)

    fuzz(count, texts(document, json.dumps), given_file(read))


# ---- vocabularies, configurations ----


@few_and_many
def test_skeletons(count, given_file):
    document = {
        "name": "two",
        "keypoints": [*NAMES, "c"],
        "flip_pairs": [NAMES],
        "limbs": [NAMES],
        "limb_colors": [[1, 2, 3]],
        "sigmas": [0.1, 0.2, 0.3],
        "upper_body": ["left_a"],
    }

    def read(path):
        skeleton = load_skeleton(path)
        assert len(skeleton.limb_colors) == len(skeleton.limbs)
        assert skeleton_from_spec(skeleton.to_spec(), "again").limbs == skeleton.limbs

    fuzz(count, texts(document, yaml.safe_dump), given_file(read, "a.yaml"))


@few_and_many
def test_label_sets(count, given_file, tmp_path):
    document = {
        "name": "rooms",
        "classes": [*NAMES, "c"],
        "flip_pairs": [NAMES],
        "colors": [[0, 0, 0], [9, 9, 9], [7, 7, 255]],
        "values": [0, 255, 300],
        "ignore": [3, [1, 2, 3]],
    }
    image = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16), "P")
    image.putpalette([value for i in range(256) for value in (i, i, i // 2)])
    paths = [str(tmp_path / name) for name in ("palette.png", "grey.png", "rgb.png")]
    for path, mode in zip(paths, (None, "L", "RGB"), strict=True):
        (image.convert(mode) if mode else image).save(path)

    def read(path):
        label_set = load_label_set(path)
        label_set_from_spec(label_set.to_spec(), "again")
        for labels in paths:
            reader = segmentation_folder.FolderLabels(label_set)
            try:
                values = reader.read(Pair(labels, labels), 10_000).classes
            except Unusable:
                continue
            assert set(np.unique(values)) <= {*range(label_set.num_classes), 255}

    fuzz(count, texts(document, yaml.safe_dump), given_file(read, "a.yaml"))


@few_and_many
def test_configuration_files(count, given_file):
    document = {
        "runtime": {"distribution_strategy": "one_device"},
        "task": {
            "model": {"input_size": [64, 64], "backbone": {"type": "hrnet"}},
            "train_data": {"input_path": "a", "global_batch_size": 4},
        },
        "trainer": {"train_steps": 4, "optimizer_config": {"ema": {}}},
    }
    read = given_file(lambda path: parse_config("hrnet_pose_coco", [path]), "a.yaml")
    fuzz(count, texts(document, yaml.safe_dump), read)


@few_and_many
def test_overrides(count):
    values = st.one_of(
        LEAVES.map(str), st.sampled_from(["[1,2]", "{a: 1}", "'a,b'", "1e-3", "[", ""])
    )
    keys = st.sampled_from(
        [
            "trainer.train_steps",
            "task.model",
            "task",
            "runtime.tpu",
            "a[3]",
            "a[99]",
            "x",
        ]
    )
    pairs = st.lists(st.tuples(keys, values).map("=".join), max_size=3).map(",".join)
    overrides = st.one_of(pairs, TEXTS, damaged(b"trainer.train_steps=4").map(repr))
    fuzz(
        min(count, 300),
        overrides,
        lambda text: parse_config("hrnet_pose_coco", [], text),
    )


# ---- pictures and videos ----


def encoded(kind, mode="RGB", **options):
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 9, (24, 32, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).convert(mode).save(file, kind, exif=exif, **options)
    return file.getvalue()


PICTURES = [
    *(encoded("JPEG"), encoded("JPEG", progressive=True), encoded("JPEG", "CMYK")),
    *(encoded("PNG"), encoded("PNG", "P"), encoded("PNG", "RGBA"), encoded("PNG", "1")),
    *(encoded("WEBP"), encoded("WEBP", lossless=True), encoded("AVIF")),
    *(encoded("TIFF"), encoded("TIFF", "P", compression="tiff_lzw")),
    *(encoded("TIFF", big_tiff=True, compression="packbits"), encoded("BMP")),
    encoded("GIF", "P"),
]


SIDES = st.integers(1, 60)


@st.composite
def pngs(draw):
    """Chunks in any order, headers of several sizes and pixels for them among them."""
    sizes = draw(st.lists(st.tuples(SIDES, SIDES), min_size=2, max_size=3))
    kinds = draw(st.lists(st.sampled_from("hheti"), min_size=1, max_size=6))
    chunks = [png_chunk("h", *sizes[0])]
    chunks += [png_chunk(kind, *draw(st.sampled_from(sizes))) for kind in kinds]
    chunks += [png_chunk("i", *draw(st.sampled_from(sizes))), png_chunk("d", 1, 1)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def png_chunk(kind, width, height):
    name, content = {
        "h": (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        "e": (b"eXIf", b"II*\0\x08\0\0\0\0\0"),
        "t": (b"tEXt", b"a\0b"),
        "i": (b"IDAT", zlib.compress(bytes(height * (1 + 3 * width)))),
        "d": (b"IEND", b""),
    }[kind]
    length, check = len(content), zlib.crc32(name + content)
    return struct.pack(">I", length) + name + content + struct.pack(">I", check)


@st.composite
def gifs(draw):
    """Frames of any size, at any place of a screen of any size."""
    numbers = st.one_of(SIDES, st.integers(0, 600))
    screen = struct.pack("<HH", draw(SIDES), draw(SIDES))
    has_colors = draw(st.booleans())
    table = b"\0\0\0\xff\xff\xff"
    content = b"GIF89a" + screen + bytes([0x80 * has_colors, 0, 0]) + table * has_colors
    for _ in range(draw(st.integers(1, 3))):
        content += draw(
            st.sampled_from([b"", b"!\xfe\3a,;\0", b"!\xf9\4\0\0\0\0\0", b"\0"])
        )
        place = struct.pack("<HHHH", *(draw(numbers) for _ in range(4)))
        content += b"," + place + b"\x80" + table + b"\2\1\x44\0"
    return content + b";"


@few_and_many
@pytest.mark.filterwarnings("ignore")
def test_headers_tell_what_decoders_find(count):
    """What is larger than allowed would be decoded first, and refused then."""

    def read(content):
        header = pictures.read_header(content, 10_000_000)
        sides = (header.width, header.height)
        pixels = None
        if header.format not in ("AVIF", "GIF"):
            with contextlib.suppress(cv2.error):
                pixels = cv2.imdecode(np.frombuffer(content, np.uint8), 1 | 128)
        sizes = [pixels.shape[1::-1]] if pixels is not None else []
        with contextlib.suppress(Exception):  # Pillow raises all kinds.
            sizes.append(Image.OPEN[header.format][0](io.BytesIO(content), "").size)
        is_tiff = header.format == "TIFF"  # which decoders turn
        for size in sizes:
            assert size == sides or (is_tiff and size == sides[::-1])

    Image.init()
    fuzz(count, st.one_of(pngs(), gifs(), damaged(*PICTURES)), read)


@few_and_many
@pytest.mark.filterwarnings("ignore")
def test_pictures(count, given_file):
    def read(path):
        pixels = media.read_image(path, max_pixels=10_000_000)
        header = pictures.look_at(path)
        sides = sorted((header.height, header.width))
        assert sorted(pixels.shape[:2]) == sides

    contents = st.one_of(pngs(), gifs(), damaged(*PICTURES))
    fuzz(count, contents, given_file(read, "a.jpg"))


@few_and_many
@pytest.mark.filterwarnings("ignore")
def test_pictures_of_records(count, given_file):
    rules = images.ImageRules("apply", max_pixels=10_000_000)

    def read(path):
        _, *sides = images.read_image_file(path, rules=rules)
        header = pictures.look_at(path)
        assert sorted(sides) == sorted((header.height, header.width))

    fuzz(count, st.one_of(pngs(), damaged(*PICTURES[:7])), given_file(read))


@few_and_many
@pytest.mark.filterwarnings("ignore")
def test_label_images(count, given_file):
    def read(path):
        labels = read_label_image(path, 10_000_000)
        header = pictures.look_at(path)
        assert sorted(labels.values.shape[:2]) == sorted((header.height, header.width))

    contents = st.one_of(pngs(), gifs(), damaged(*PICTURES))
    fuzz(count, contents, given_file(read, "a.png"))


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    contents = []
    for name, codec in (("a.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.webm", "VP80")):
        path = str(folder / name)
        writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*codec), 5, (32, 24))
        for shade in range(6):
            writer.write(np.full((24, 32, 3), 40 * shade, np.uint8))
        writer.release()
        with open(path, "rb") as file:
            contents.append(file.read())
    return contents


@few_and_many
def test_videos(count, films, given_file):
    def read(path):
        with videos.open_video(path, 10_000_000) as video:
            for _, found in zip(range(MOST_FRAMES), video, strict=False):
                seconds, frame = found
                assert frame.shape[2] == 3 and np.isfinite(seconds)
        assert video.info.frames_per_second > 0

    fuzz(min(count, 500), damaged(*films), given_file(read, "a.mp4"))
