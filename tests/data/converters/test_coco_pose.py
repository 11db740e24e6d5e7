"""The COCO pose converter on tiny datasets: what is stored, what is refused."""

import io
import json
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

from hrnet_tf.data import coco_pose as command
from hrnet_tf.data.converters import coco_pose
from hrnet_tf.data.files import coco_annotations
from hrnet_tf.data.files.coco_people import Person
from hrnet_tf.data.files.faults import ConversionError
from hrnet_tf.data.records import pose as pose_records
from hrnet_tf.data.vocabularies import skeletons
from hrnet_tf.output_files import OutputError

WIDTH, HEIGHT = 64, 48
SKELETON = skeletons.Skeleton("stick", ("top", "bottom"), (), (0.05, 0.05), (), ())


def picture(seed=0):
    """A smooth random uint8 RGB image, [48, 64, 3]."""
    grid = np.random.default_rng(seed).integers(0, 255, (4, 5, 3), np.uint8)
    return cv2.resize(grid, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


def encode(pixels, extension=".jpg"):
    flags = [cv2.IMWRITE_JPEG_QUALITY, 95] if extension == ".jpg" else []
    return cv2.imencode(extension, pixels[..., ::-1], flags)[1].tobytes()


class Dataset:
    """Images and a COCO file in a folder; tests change `content` before writing it."""

    def __init__(self, folder: pathlib.Path, num_images: int = 4):
        self.image_dir = folder / "images"
        self.image_dir.mkdir()
        self.annotations = folder / "people.json"
        self.prefix = str(folder / "records" / "train")
        self.content = {
            "images": [],
            "annotations": [],
            "categories": [
                {"id": 7, "name": "person", "keypoints": ["top", "bottom"]},
                {"id": 8, "name": "car"},
            ],
        }
        for number in range(num_images):
            name = f"{number}.jpg"
            (self.image_dir / name).write_bytes(encode(picture(number)))
            self.content["images"].append(
                {"id": 10 + number, "file_name": name, "width": WIDTH, "height": HEIGHT}
            )
            self.content["annotations"].append(self.person(100 + number, 10 + number))

    @staticmethod
    def person(annotation_id, image_id, **changes):
        return {
            "id": annotation_id,
            "image_id": image_id,
            "category_id": 7,
            "bbox": [8.5, 4, 20, 30.25],
            "area": 321.5,
            "iscrowd": 0,
            "num_keypoints": 2,
            "keypoints": [10, 5.5, 2, 12, 30, 1],
            "segmentation": [[8, 4, 28, 4, 28, 34]],
            **changes,
        }

    def convert(self, **options):
        if not isinstance(self.content, str):
            self.content = json.dumps(self.content)
        self.annotations.write_text(self.content)
        return coco_pose.convert(
            str(self.image_dir),
            str(self.annotations),
            self.prefix,
            options.pop("skeleton", SKELETON),
            **options,
        )

    def listing(self):
        return sorted(path.name for path in pathlib.Path(self.prefix).parent.iterdir())

    def assert_nothing_written(self):
        folder = pathlib.Path(self.prefix).parent
        assert not folder.exists() or not list(folder.iterdir())


@pytest.fixture
def dataset(tmp_path):
    return Dataset(tmp_path)


def read_records(files):
    """The parsed records of several files, by image id, as numpy arrays."""
    records = tf.data.TFRecordDataset(files).map(
        lambda serialized: pose_records.parse_image_record(serialized, 2)
    )
    return {int(record["image_id"]): record for record in records.as_numpy_iterator()}


def test_round_trip(dataset):
    crowd = dataset.person(
        200, 11, iscrowd=1, keypoints=[0] * 6, segmentation={"counts": [1], "size": [1]}
    )
    unlabelled = dataset.person(201, 11, keypoints=[9, 9, 0] * 2, bbox=[-3, 9, 10, 20])
    dataset.content["annotations"] += [crowd, unlabelled]
    dataset.content["annotations"].append({"id": 1, "image_id": 10, "category_id": 8})
    del dataset.content["annotations"][2]  # Image 12 has nobody left.

    summary = dataset.convert(num_shards=2)

    records = read_records(summary.files)
    assert sorted(records) == [10, 11, 12, 13]
    one = records[11]
    assert one["encoded"] == (dataset.image_dir / "1.jpg").read_bytes()
    assert (one["height"], one["width"]) == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(one["person_id"], [101, 200, 201])
    np.testing.assert_array_equal(one["iscrowd"], [0, 1, 0])
    np.testing.assert_array_equal(one["num_keypoints"], [2, 0, 0])
    np.testing.assert_allclose(
        one["bbox"], [[8.5, 4, 20, 30.25], [8.5, 4, 20, 30.25], [-3, 9, 10, 20]]
    )
    np.testing.assert_allclose(one["area"], [321.5] * 3)
    assert one["keypoints"].shape == (3, 2, 3)
    np.testing.assert_allclose(one["keypoints"][0], [[10, 5.5, 2], [12, 30, 1]])
    empty = records[12]
    assert empty["bbox"].shape == (0, 4)
    assert empty["keypoints"].shape == (0, 2, 3)
    assert empty["person_id"].shape == (0,)

    assert (summary.images, summary.images_without_people) == (4, 1)
    assert (summary.people, summary.people_with_keypoints) == (5, 3)
    assert (summary.crowds, summary.boxes_clipped_by_reader) == (1, 1)
    assert summary.other_category_annotations == 1
    assert summary.skipped == {} and summary.faults == []
    assert "4  images" in str(summary) and "1  of these crowds" not in str(summary)


def test_whole_bodies_are_joined(dataset):
    """COCO-WholeBody's lists of feet, face and hands follow the body's."""
    whole = skeletons.load_skeleton("coco_wholebody133")
    counts = {"foot": 6, "face": 68, "lefthand": 21, "righthand": 21}
    category = dataset.content["categories"][0]
    category["keypoints"] = list(skeletons.load_skeleton("coco17").keypoints)
    numbers = iter(range(1, 10_000))

    def points(count):
        return [x for _ in range(count) for x in (next(numbers) % 60, 5.5, 1)]

    expected = {}
    for person in dataset.content["annotations"]:
        person["keypoints"] = points(17)
        person["keypoints"][:3] = [0, 0, 0]
        person["num_keypoints"] = 16
        parts = {f"{part}_kpts": points(count) for part, count in counts.items()}
        # In any order; zeros where a part was not clear enough to be labelled.
        parts = dict(reversed(parts.items())) | {"lefthand_kpts": [0.0] * 63}
        person |= parts | {"lefthand_valid": False}
        expected[person["image_id"]] = person["keypoints"] + sum(
            (parts[f"{part}_kpts"] for part in counts), []
        )
    summary = dataset.convert(skeleton=whole)
    assert summary.warnings == [] and summary.miscounted_people == 0
    for record in tf.data.TFRecordDataset(summary.files):
        record = pose_records.parse_image_record(record, 133)
        found = record["keypoints"].numpy().ravel()
        np.testing.assert_allclose(found, expected[int(record["image_id"])])

    dataset.content = json.loads(dataset.content)
    dataset.content["annotations"][1]["face_kpts"].pop()
    with pytest.raises(
        ConversionError, match="101 of 1.jpg: face_kpts has 203 numbers;"
    ):
        dataset.convert(skeleton=whole, overwrite=True)
    dataset.content = json.loads(dataset.content)
    del dataset.content["annotations"][0]["foot_kpts"]
    with pytest.raises(
        ConversionError, match="foot_kpts is missing; COCO-WholeBody has"
    ):
        dataset.convert(skeleton=whole, overwrite=True)
    body = dataset.convert(skeleton=skeletons.load_skeleton("coco17"), overwrite=True)
    assert body.people_with_keypoints == 4


def test_areas_of_crowdpose_are_a_share_of_the_box(dataset):
    del dataset.content["annotations"][0]["area"]
    summary = dataset.convert(area_from="crowdpose")
    for record in read_records(summary.files).values():
        np.testing.assert_allclose(record["area"], [0.53 * 20 * 30.25])
    assert "4    area 0.53 of the box, as CrowdPose's evaluation has it" in str(summary)
    kept = json.loads(pathlib.Path(summary.description).read_text())
    assert kept["area_from"] == "crowdpose"


def test_several_categories_may_share_a_skeleton(dataset):
    """As AP-10K's species do."""
    names = dataset.content["categories"][0]["keypoints"]
    dataset.content["categories"][1]["keypoints"] = names
    dataset.content["annotations"][0]["category_id"] = 8
    assert dataset.convert(category="all").people == 4


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"region": [1, 2, 3]}, r"region is \[1, 2, 3\]; it must be four finite"),
        ({"region": [1, 2, 3, 0]}, "width and height above 0"),
        ({"region": [-50, 2, 30, 30]}, "less than a pixel of it is on the 64x48 image"),
        ({"normalizer": -1}, "normalizer is -1; it must be a number of pixels, or 0"),
        ({"normalizer": "head"}, "normalizer is 'head'"),
    ],
)
def test_faulty_regions_and_normalizers_are_named(dataset, changes, sentence):
    dataset.content["annotations"][2].update(changes)
    with pytest.raises(ConversionError, match=f"annotation 102 of 2.jpg: .*{sentence}"):
        dataset.convert()


def test_regions_are_of_all_people_of_an_image_or_of_none(dataset):
    person = Person(1, [1, 1, 9, 9], 50, False, [1, 1, 2] * 2)
    other = Person(2, [1, 1, 9, 9], 50, False, [1, 1, 2] * 2, region=[5, 5, 9, 9])
    with pytest.raises(ValueError, match="Some people have a region"):
        pose_records.encode_image_record(
            encoded=b"",
            image_id=1,
            filename="a",
            height=9,
            width=9,
            people=[person, other],
            keypoints_per_person=2,
        )


def test_shards_share_the_images_evenly_and_deterministically(dataset):
    summary = dataset.convert(num_shards=3)
    names = [pathlib.Path(path).name for path in summary.files]
    assert names == [f"train-{i:05d}-of-00003.tfrecord" for i in range(3)]
    assert [sorted(read_records([path])) for path in summary.files] == [
        [10, 13],
        [11],
        [12],
    ]
    before = [pathlib.Path(path).read_bytes() for path in summary.files]
    again = dataset.convert(num_shards=3, overwrite=True)
    assert [pathlib.Path(path).read_bytes() for path in again.files] == before
    assert dataset.listing() == [*names, "train.conversion.json"]


def test_never_more_shards_than_images(dataset):
    assert len(dataset.convert(num_shards=50).files) == 4
    assert len(dataset.convert(overwrite=True).files) == 4


def test_existing_files_are_kept_unless_overwriting(dataset):
    first = dataset.convert(num_shards=4)
    before = [pathlib.Path(path).read_bytes() for path in first.files]
    with pytest.raises(OutputError, match="4 files of this prefix exist .*--overwrite"):
        dataset.convert(num_shards=2)
    assert [pathlib.Path(path).read_bytes() for path in first.files] == before
    second = dataset.convert(num_shards=2, overwrite=True)
    names = [pathlib.Path(path).name for path in second.files]
    left = dataset.listing()
    assert left == [*names, "train.conversion.json"], "earlier files would be read too"


def test_a_failed_overwrite_leaves_the_earlier_files(dataset):
    first = dataset.convert(num_shards=2)
    before = [pathlib.Path(path).read_bytes() for path in first.files]
    left = dataset.listing()
    (dataset.image_dir / "3.jpg").unlink()
    with pytest.raises(ConversionError):
        dataset.convert(num_shards=2, overwrite=True)
    assert dataset.listing() == left
    assert [pathlib.Path(path).read_bytes() for path in first.files] == before


def test_images_without_people_can_be_dropped(dataset):
    del dataset.content["annotations"][0]
    summary = dataset.convert(keep_empty=False)
    assert sorted(read_records(summary.files)) == [11, 12, 13]
    assert (summary.images, summary.empty_images_dropped) == (3, 1)


@pytest.mark.parametrize(
    ("bbox", "outside"),
    [
        ([0, 0, 64, 48], False),
        ([-0.005, 0, 64.01, 48], False),  # COCO's rounding
        ([-1, 0, 5, 5], True),
        ([0, -1, 5, 5], True),
        ([60, 0, 5, 5], True),
        ([0, 44, 5, 5], True),
    ],
)
def test_boxes_partly_beyond_the_border(bbox, outside):
    image = coco_annotations.ImageEntry(1, "a.jpg", WIDTH, HEIGHT)
    assert coco_annotations.is_partly_outside(bbox, image) == outside


BAD_ANNOTATIONS = {
    "missing box": ({"bbox": None}, "bad box", "bbox is null"),
    "three-number box": ({"bbox": [1, 2, 3]}, "bad box", "four finite numbers"),
    "NaN in box": ({"bbox": [1, 2, 3, float("nan")]}, "bad box", "finite"),
    "box of zero width": ({"bbox": [1, 2, 0, 4]}, "bad box", "positive"),
    "box right of image": (
        {"bbox": [64, 2, 5, 5]},
        "box outside the image",
        "wholly outside the 64x48 image",
    ),
    "box above image": ({"bbox": [3, -9, 5, 9]}, "box outside the image", "wholly"),
    "too few keypoints": (
        {"keypoints": [1, 2, 2]},
        "wrong number of keypoint values",
        "has 3 numbers; the skeleton's 2 keypoints need 6",
    ),
    "no keypoints": (
        {"keypoints": None},
        "wrong number of keypoint values",
        "keypoints is null",
    ),
    "text keypoint": (
        {"keypoints": [1, "2", 2, 1, 2, 2]},
        "bad keypoint value",
        "finite numbers",
    ),
    "visibility 3": (
        {"keypoints": [1, 2, 2, 1, 2, 3]},
        "bad visibility",
        "keypoint 1 has visibility 3",
    ),
    "infinite area": ({"area": float("inf")}, "bad area", "area is inf"),
    "crowd flag": ({"iscrowd": 2}, "bad annotation entry", "iscrowd is 2"),
    "unknown image": ({"image_id": 99}, "unknown image id", "image_id 99"),
    "duplicate id": ({"id": 100}, "duplicate annotation id", "used twice"),
    "no category": ({"category_id": None}, "bad annotation entry", "category_id"),
}


@pytest.mark.parametrize("case", BAD_ANNOTATIONS)
def test_bad_annotation(dataset, case):
    changes, kind, expected = BAD_ANNOTATIONS[case]
    bad = {**dataset.person(555, 12), **changes}
    dataset.content["annotations"].append(bad)
    with pytest.raises(ConversionError) as error:
        dataset.convert()
    for part in (f"people.json: annotation {bad['id']}", expected, "--on_error=skip"):
        assert part in str(error.value)
    if kind != "unknown image id":
        assert "of 2.jpg" in str(error.value)
    dataset.assert_nothing_written()

    summary = dataset.convert(on_error="skip")
    assert summary.skipped == {kind: 1}
    assert len(summary.faults) == 1 and expected in summary.faults[0]
    assert (summary.images, summary.people) == (4, 4)
    assert f"1  skipped: {kind}" in str(summary)


def spoil_image(dataset, number, case):
    """Makes one image of the dataset faulty; returns the kind of fault expected."""
    path = dataset.image_dir / f"{number}.jpg"
    content = path.read_bytes()
    if case == "missing":
        path.unlink()
        return "missing image"
    if case == "folder":
        path.unlink()
        path.mkdir()
        return "unreadable image"
    if case == "size":
        path.write_bytes(encode(picture()[:, :50]))
        return "wrong image size"
    if case == "web page":
        path.write_bytes(b"<html>404</html>")
        return "not JPEG or PNG"
    if case == "GIF":
        path.write_bytes(b"GIF89a" + content)
        return "not JPEG or PNG"
    if case == "end cut off":
        path.write_bytes(content[:-12])
    elif case == "half":
        path.write_bytes(content[: len(content) // 2])
    elif case == "PNG cut off":
        path.write_bytes(encode(picture(), ".png")[:-300])
    return "corrupt image"


@pytest.mark.parametrize(
    "case",
    ["missing", "folder", "size", "web page", "GIF", "end cut off", "half"]
    + ["PNG cut off"],
)
def test_bad_image(dataset, case):
    kind = spoil_image(dataset, 2, case)
    dataset.content["annotations"].append(dataset.person(300, 12))
    with pytest.raises(ConversionError) as error:
        dataset.convert()
    for part in (str(dataset.image_dir / "2.jpg"), "image 12", "--on_error=skip"):
        assert part in str(error.value)
    dataset.assert_nothing_written()

    summary = dataset.convert(on_error="skip", num_shards=4)
    assert summary.skipped == {kind: 1}
    assert summary.people_of_skipped_images == 2
    assert (summary.images, summary.people) == (3, 3)
    assert sorted(read_records(summary.files)) == [10, 11, 13]
    names = [pathlib.Path(path).name for path in summary.files]
    assert names == [f"train-{i:05d}-of-00003.tfrecord" for i in range(3)]


@pytest.mark.parametrize(
    ("changes", "kind", "expected"),
    [
        ({"width": None}, "bad image entry", "width is null"),
        ({"height": 0}, "bad image entry", "must be positive"),
        ({"file_name": ""}, "bad image entry", "file_name is ''"),
        ({"id": "x"}, "bad image entry", "id is 'x'"),
    ],
)
def test_bad_image_entry(dataset, changes, kind, expected):
    dataset.content["images"][1].update(changes)
    if "id" in changes:
        del dataset.content["annotations"][1]
    with pytest.raises(ConversionError, match=expected):
        dataset.convert()
    dataset.assert_nothing_written()
    summary = dataset.convert(on_error="skip")
    assert summary.skipped == {kind: 1}, "its people are not faults of their own"
    assert summary.people_of_skipped_images == (0 if "id" in changes else 1)
    assert sorted(read_records(summary.files)) == [10, 12, 13]


def test_images_of_one_id_are_left_out_with_their_people(dataset):
    dataset.content["images"][1]["id"] = 10
    dataset.content["annotations"][1]["image_id"] = 10
    with pytest.raises(ConversionError, match="image 10: the id is used twice"):
        dataset.convert()
    dataset.assert_nothing_written()
    summary = dataset.convert(on_error="skip")
    assert summary.skipped == {"duplicate image id": 2}
    assert summary.people_of_skipped_images == 2
    assert sorted(read_records(summary.files)) == [12, 13]


def test_nothing_usable_is_a_failure(dataset):
    for number in range(4):
        (dataset.image_dir / f"{number}.jpg").unlink()
    with pytest.raises(ConversionError, match="All 4 images were skipped"):
        dataset.convert(on_error="skip")
    dataset.assert_nothing_written()


def test_grey_cmyk_and_png_decode_to_the_right_colours(dataset):
    image_module = pytest.importorskip("PIL.Image")
    expected = picture(3)
    cmyk = io.BytesIO()
    image_module.fromarray(expected).convert("CMYK").save(cmyk, "JPEG", quality=95)
    (dataset.image_dir / "0.jpg").write_bytes(cmyk.getvalue())
    grey = cv2.cvtColor(expected, cv2.COLOR_RGB2GRAY)
    (dataset.image_dir / "1.jpg").write_bytes(cv2.imencode(".jpg", grey)[1].tobytes())
    (dataset.image_dir / "2.jpg").write_bytes(encode(expected, ".png"))

    records = read_records(dataset.convert().files)

    def decoded(image_id):
        pixels = tf.io.decode_image(records[image_id]["encoded"], channels=3)
        return pixels.numpy().astype(int)

    assert np.abs(decoded(10) - expected).mean() < 4
    assert np.abs(decoded(11) - grey[..., np.newaxis]).mean() < 4
    np.testing.assert_array_equal(decoded(12), expected)


def test_exif_orientation_needs_a_word(dataset):
    image_module = pytest.importorskip("PIL.Image")
    exif = image_module.Exif()
    exif[0x0112] = 6  # Orientation: to be shown turned by 90 degrees.
    path = dataset.image_dir / "0.jpg"
    image_module.fromarray(picture()).save(path, quality=95, exif=exif)
    assert cv2.imread(str(path)).shape == (WIDTH, HEIGHT, 3), "a viewer turns it"
    with pytest.raises(ConversionError, match=r"0\.jpg \(6\).*--exif=apply") as error:
        dataset.convert()
    assert "1 image files have an EXIF orientation" in str(error.value)
    dataset.assert_nothing_written()

    summary = dataset.convert(exif="ignore")
    record = read_records(summary.files)[10]
    assert (record["height"], record["width"]) == (HEIGHT, WIDTH)
    assert tf.io.decode_image(record["encoded"]).shape == (HEIGHT, WIDTH, 3)
    assert "1  image files with an EXIF orientation, ignored" in str(summary)


def test_annotations_of_turned_pictures(dataset):
    image_module = pytest.importorskip("PIL.Image")
    exif = image_module.Exif()
    exif[0x0112] = 6
    # Stored on its side, so that viewers show `picture()`.
    for name, options in (("0.jpg", {"quality": 95}), ("1.png", {})):
        lying = image_module.fromarray(np.rot90(picture()))
        lying.save(dataset.image_dir / name, exif=exif, **options)
    dataset.content["images"][1]["file_name"] = "1.png"
    with pytest.raises(ConversionError, match="pixels, but its annotations say"):
        dataset.convert(exif="ignore")
    summary = dataset.convert(exif="apply")
    records = read_records(summary.files)
    for image_id, most in ((10, 8), (11, 0)):
        pixels = tf.io.decode_image(records[image_id]["encoded"]).numpy()
        assert pixels.shape == (HEIGHT, WIDTH, 3)
        assert np.abs(pixels.astype(int) - picture()).mean() <= most
    assert "2  image files turned by their EXIF orientation" in str(summary)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"images": [', "not valid JSON.*line 1"),
        ("[1, 2]", "has no list 'images'"),
        ('{"images": [], "categories": []}', "has no list 'annotations'"),
    ],
)
def test_malformed_annotation_file(dataset, content, expected):
    dataset.content = content
    with pytest.raises(ConversionError, match=expected):
        dataset.convert(on_error="skip")
    dataset.assert_nothing_written()


def test_missing_paths(dataset):
    with pytest.raises(ConversionError, match=r"no_such\.json does not exist"):
        coco_pose.convert(
            str(dataset.image_dir), "no_such.json", dataset.prefix, SKELETON
        )
    with pytest.raises(ConversionError, match="image folder no_such does not exist"):
        coco_pose.convert("no_such", "people.json", dataset.prefix, SKELETON)
    with pytest.raises(OutputError, match="ends in a folder"):
        coco_pose.convert("x", "people.json", "records/", SKELETON)


def test_category_choice(dataset):
    categories = dataset.content["categories"]
    categories[1]["keypoints"] = ["wheel", "door"]
    content = dict(dataset.content)
    with pytest.raises(ConversionError, match="2 categories .* out of: person, car"):
        dataset.convert()
    dataset.content = content
    summary = dataset.convert(category="person")
    assert summary.people == 4 and summary.warnings == []
    with pytest.raises(ConversionError, match="'dog'.*out of: person, car"):
        dataset.convert(category="dog", overwrite=True)
    summary = dataset.convert(category="car", overwrite=True)
    assert summary.people == 0
    assert "keypoint 0 is 'wheel'" in summary.warnings[0]
    assert "none of the 4 annotations" in summary.warnings[1]


def test_keypoint_names_in_another_order_are_refused(dataset):
    dataset.content["categories"][0]["keypoints"] = ["bottom", "top"]
    with pytest.raises(ConversionError, match="another order: keypoint 0 is 'bottom'"):
        dataset.convert()


def test_another_number_of_keypoints_is_refused(dataset):
    advice = "coco17 has 17; .*--skeleton=FILE.yaml of the converter, task.skeleton"
    with pytest.raises(ConversionError, match=f"lists 2 keypoints .* {advice}"):
        dataset.convert(skeleton=skeletons.load_skeleton("coco17"))


def test_built_in_skeletons_of_so_many_keypoints_are_offered(dataset):
    category = dataset.content["categories"][0]
    category["keypoints"] = [f"joint{number}" for number in range(14)]
    offer = r"coco17 has 17 \(crowdpose14: 14\); give"
    with pytest.raises(ConversionError, match=offer):
        dataset.convert(skeleton=skeletons.load_skeleton("coco17"))


def test_built_in_skeletons_of_so_many_numbers_are_offered(dataset):
    del dataset.content["categories"][0]["keypoints"]
    for annotation in dataset.content["annotations"]:
        annotation["keypoints"] = [5, 5, 2] * 98
    with pytest.raises(ConversionError, match=r"each\) \(wflw98: 98\)\. Nothing was"):
        dataset.convert(skeleton=skeletons.load_skeleton("300w68"))


def test_reading_with_another_skeleton_says_what_to_do(dataset):
    files = dataset.convert().files
    records = tf.data.TFRecordDataset(files).map(
        lambda serialized: pose_records.parse_image_record(serialized, 17)
    )
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="convert the data with the same skeleton"
    ):
        next(iter(records))
    serialized = next(iter(tf.data.TFRecordDataset(files)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="same skeleton"):
        pose_records.parse_image_record(serialized, 3)


def test_encoding_refuses_a_person_of_another_skeleton():
    person = Person(4, [0, 0, 1, 1], 1.0, False, [1, 1, 2])
    with pytest.raises(ValueError, match="Person 4 has 3 keypoint numbers"):
        pose_records.encode_image_record(
            encoded=b"",
            image_id=1,
            filename="a.jpg",
            height=1,
            width=1,
            people=[person],
            keypoints_per_person=2,
        )


def command_line(dataset, *more):
    dataset.annotations.write_text(json.dumps(dataset.content))
    skeleton = dataset.annotations.with_name("stick.yaml")
    skeleton.write_text("name: stick\nkeypoints: [top, bottom]\n")
    return [
        "coco_pose",
        f"--image_dir={dataset.image_dir}",
        f"--annotations={dataset.annotations}",
        f"--output_prefix={dataset.prefix}",
        f"--skeleton={skeleton}",
        *more,
    ]


def test_command_exit_codes(dataset, capsys):
    assert command.main(command_line(dataset, "--num_shards=2")) == 0
    output = capsys.readouterr()
    assert "2  files written" in output.out
    assert "Converting: 4/4 images" in output.err

    assert command.main(command_line(dataset)) == 1
    assert "--overwrite" in capsys.readouterr().err
    dataset.content["annotations"][0]["bbox"] = [0, 0, 0, 0]
    assert command.main(command_line(dataset, "--overwrite")) == 1
    assert "annotation 100 of 0.jpg" in capsys.readouterr().err
    skipping = command_line(dataset, "--overwrite", "--on_error=skip")
    assert command.main(skipping) == 0
    output = capsys.readouterr()
    assert "annotation 100 of 0.jpg" in output.err and "1  skipped: bad" in output.out


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--on_error=ignore"], "on_error"),
        (["--num_shards=0"], "num_shards"),
        (["--no_such_flag"], "no_such_flag"),
        (["--skeleton=coco71"], "did you mean 'coco17'"),
        (["leftover"], "leftover"),
    ],
)
def test_bad_usage(dataset, capsys, more, expected):
    assert command.main(command_line(dataset, *more)) == 2
    assert expected in capsys.readouterr().err
    dataset.assert_nothing_written()


def test_help_and_missing_flags(capsys):
    assert command.main(["coco_pose", "--help"]) == 0
    text = capsys.readouterr().out
    assert "python -m hrnet_tf.data.coco_pose" in text and "--[no]keep_empty" in text
    assert command.main(["coco_pose", "--image_dir=x"]) == 2
    assert "annotations" in capsys.readouterr().err


def test_as_a_module(dataset):
    (dataset.image_dir / "1.jpg").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "hrnet_tf.data.coco_pose", *command_line(dataset)[1:]],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[3],
    )
    assert done.returncode == 1
    assert "1.jpg (image 11) does not exist." in done.stderr
    assert "Traceback" not in done.stderr
    dataset.assert_nothing_written()


@pytest.mark.parametrize("how", ["..", "absolute", "link"])
def test_images_outside_the_folder(dataset, tmp_path, how):
    outside = tmp_path / "3.jpg"
    (dataset.image_dir / "3.jpg").rename(outside)
    name = {"..": "../3.jpg", "absolute": str(outside), "link": "link/3.jpg"}[how]
    (dataset.image_dir / "link").symlink_to(tmp_path)
    dataset.content["images"][3]["file_name"] = name
    with pytest.raises(ConversionError, match="3.jpg leads out of .*--allow_outside"):
        dataset.convert()
    assert dataset.convert(allow_outside=True).images == 4
    summary = dataset.convert(on_error="skip", overwrite=True)
    assert summary.skipped == {"image outside the folder": 1}


def test_the_flag_allows_images_outside_the_folder(dataset, tmp_path, capsys):
    (dataset.image_dir / "3.jpg").rename(tmp_path / "3.jpg")
    dataset.content["images"][3]["file_name"] = "../3.jpg"
    assert command.main(command_line(dataset)) == 1
    assert "3.jpg leads out of" in capsys.readouterr().err
    assert command.main(command_line(dataset, "--allow_outside")) == 0


def test_images_have_a_limit(dataset):
    with pytest.raises(ConversionError, match=rf"at most {WIDTH * HEIGHT - 1};"):
        dataset.convert(max_pixels=WIDTH * HEIGHT - 1)
    assert dataset.convert(max_pixels=WIDTH * HEIGHT).images == 4


def test_images_that_share_a_file_are_told(dataset):
    dataset.content["images"][3]["file_name"] = "./2.jpg"
    summary = dataset.convert()
    assert summary.images == 4
    (warning,) = summary.warnings
    assert "1 files are those of several images" in warning and "2.jpg" in warning
