"""A data set of people, with one fault after another."""

import json

import numpy as np
import pytest
import tensorflow as tf
from people_folder import (
    HEIGHT,
    WIDTH,
    PeopleFolder,
    jpeg,
    picture,
    run_inspect,
    standing,
)

from hrnet_tf.data import inspect
from hrnet_tf.data.files.coco_people import Person
from hrnet_tf.data.records.pose import encode_image_record


@pytest.fixture
def people(tmp_path):
    return PeopleFolder(tmp_path)


def with_point(number: int, *values: float) -> list[float]:
    """A standing person's keypoints with another x, y, v of one."""
    keypoints = standing(seed=3)
    keypoints[3 * number : 3 * number + 3] = values
    return keypoints


def test_nothing_is_wrong_with_a_good_data_set(people):
    report = people.inspect()
    assert report["findings"] == {}
    assert report["kind"] == "pose"
    assert report["images"]["counts"]["images"] == 12
    assert report["people"]["counts"] == {
        "people": 12,
        "crowds": 0,
        "without labelled keypoints": 0,
        "learned in training": 12,
    }
    assert report["people"]["table"] == {"with 17 keypoints": {"people": 12}}
    assert report["boxes"]["distributions"]["width"]["median"] == 40
    assert report["keypoints"]["table"]["nose"] == {
        "labelled": 12,
        "visible": 12,
        "hidden": 0,
        "absent": 0,
        "outside the box": 0,
        "outside the image": 0,
    }
    assert report["left and right"]["table"]["left_hip, right_hip"]["people"] == 12


def test_records_have_the_numbers_of_their_annotations(people):
    people.change(1, keypoints=with_point(0, 158, 100, 1))
    people.change(2, iscrowd=1)
    people.content["annotations"].append(people.person(3, id=900))
    by_annotations = people.inspect()
    pattern = people.convert()
    by_records = run_inspect(people.folder, f"--records={pattern}")
    assert by_annotations["findings"]
    assert by_records.pop("source") == pattern
    del by_annotations["source"]
    # Shards take turns, so that images come in another order.
    for report in (by_annotations, by_records):
        for finding in report["findings"].values():
            finding["examples"].sort(key=lambda example: example["text"])
    assert by_records == by_annotations


def shrunk(factor):
    """The keypoints, nearer to each other in the middle of the box."""
    points = np.array(standing(seed=3)).reshape(-1, 3).astype(float)
    middle = points[:, :2].mean(axis=0)
    points[:, :2] = middle + factor * (points[:, :2] - middle)
    return points.ravel().tolist()


PERSON_FAULTS = [
    (
        {"keypoints": with_point(3, 171, 20, 2), "bbox": [50, 10, 100, 100]},
        {
            "keypoint outside the image": "left_ear at 171, 20 of 160x120",
            "keypoint far outside its person's box": "left_ear is 21 pixels from it",
        },
    ),
    (
        {"keypoints": with_point(9, 140, 50, 2)},
        {"keypoint far outside its person's box": "left_wrist is 50 pixels from it"},
    ),
    (
        {"keypoints": with_point(0, 0, 0, 1)},
        {
            "keypoint labelled at 0, 0": "nose",
            "keypoint far outside its person's box": "nose is 50 pixels from it",
        },
    ),
    (
        {"keypoints": [70, 40, 2] * 5 + [0] * 36, "num_keypoints": 5},
        {"all keypoints at one point": ""},
    ),
    (
        {"keypoints": with_point(0, *standing(seed=3)[3:6])},
        {"two keypoints at the same point": "nose and left_eye"},
    ),
    (
        {"keypoints": with_point(0, 70, 20, 2)[:49] + [90, 0], "num_keypoints": 16},
        {},
    ),
    (
        {"keypoints": [70, 40, 0] * 17, "num_keypoints": 0},
        {"coordinates, but visibility 0 for all of them": ""},
    ),
    (
        {"num_keypoints": 3},
        {"num_keypoints is not the number of labelled keypoints": ""},
    ),
    ({"area": 5000.0}, {"area larger than the box": "area 5000"}),
    (
        {"keypoints": shrunk(0.3)},
        {"box far larger than its person's keypoints": "keypoints within"},
    ),
    ({"keypoints": shrunk(0.5)}, {}),
    # A face alone says nothing about the box of the person.
    ({"keypoints": shrunk(0.1)[:24] + [0] * 27, "num_keypoints": 8}, {}),
]


@pytest.mark.parametrize(("changes", "expected"), PERSON_FAULTS)
def test_a_person_that_looks_wrong_is_named(people, changes, expected):
    if len(changes.get("keypoints", [0] * 51)) != 51:
        changes = {"keypoints": with_point(16, 0, 0, 0), "num_keypoints": 16}
    people.change(3, **changes)
    findings = people.inspect()["findings"]
    assert findings.keys() == expected.keys()
    for kind, told in expected.items():
        (example,) = findings[kind]["examples"]
        assert (example["image_id"], example["annotation_id"]) == (3, 103)
        assert example["file"] == "03.jpg" and told in example["text"]


def test_swapped_sides_are_found_in_a_data_set(people):
    keypoints = np.reshape(standing(seed=3), (17, 3))
    keypoints[[11, 12]] = keypoints[[12, 11]]
    people.change(3, keypoints=keypoints.ravel().tolist())
    findings = people.inspect()["findings"]
    (example,) = findings["left and right look swapped"]["examples"]
    assert example["annotation_id"] == 103
    assert "left and right of hips; " in example["text"]


def test_a_person_that_is_there_twice_is_found(people):
    people.content["annotations"].append(people.person(3, id=900))
    findings = people.inspect()["findings"]
    assert findings.keys() == {
        "two annotations with nearly the same box",
        "two people with the same keypoints",
    }
    for finding in findings.values():
        assert finding["examples"][0]["annotation_id"] == 900


def test_a_keypoint_that_nobody_labels_is_named(people):
    for number in range(12):
        keypoints = standing(seed=number)
        keypoints[0:3] = 0, 0, 0
        people.change(number, keypoints=keypoints, num_keypoints=16)
    findings = people.inspect()["findings"]
    assert findings["keypoint that nobody has labelled"]["examples"] == [
        {"text": "nose."}
    ]


def test_what_the_converter_refuses_is_told_in_its_words(people):
    people.change(2, area=0)
    people.change(3, bbox=[500, 0, 10, 10])
    people.change(4, image_id=77)
    report = people.inspect()
    findings = report["findings"]
    assert findings.keys() == {"bad area", "box outside the image", "unknown image id"}
    (example,) = findings["bad area"]["examples"]
    assert example["annotation_id"] == 102 and "area is 0" in example["text"]
    assert report["people"]["counts"]["people"] == 9
    assert "bad area" not in people.inspect("--area_from=box")["findings"]


def test_unusable_images_are_named_and_their_people_not_learned(people):
    (people.image_dir / "02.jpg").unlink()
    encoded = (people.image_dir / "03.jpg").read_bytes()
    (people.image_dir / "03.jpg").write_bytes(encoded[: len(encoded) // 2])
    (people.image_dir / "04.jpg").write_bytes(b"no picture")
    people.content["images"][5]["width"] = 100
    report = people.inspect()
    assert report["images"]["counts"]["of these of no use to training"] == 4
    assert report["people"]["counts"]["learned in training"] == 8
    assert report["people"]["counts"]["people"] == 12
    named = {
        example["file"]: kind
        for kind, finding in report["findings"].items()
        for example in finding["examples"]
    }
    assert named == {
        "02.jpg": "missing image",
        "03.jpg": "corrupt image",
        "04.jpg": "not JPEG or PNG",
        "05.jpg": "wrong image size",
    }


@pytest.mark.parametrize(("orientation", "as_shown"), [(3, False), (6, True)])
def test_orientations_are_doubtful_until_it_is_said_what_was_annotated(
    people, orientation, as_shown
):
    pixels = np.rot90(picture(5)) if as_shown else picture(5)
    encoded = jpeg(np.ascontiguousarray(pixels), orientation=orientation)
    (people.image_dir / "05.jpg").write_bytes(encoded)
    kind = "EXIF orientation that viewers follow and training ignores"
    report = people.inspect()
    (example,) = report["findings"][kind]["examples"]
    assert f"has the orientation {orientation}" in example["text"]
    assert ("speaks for --exif=apply" in example["text"]) == as_shown
    assert report["images"]["counts"]["with an EXIF orientation other than 1"] == 1
    rule = "apply" if as_shown else "ignore"
    assert people.inspect(f"--exif={rule}")["findings"] == {}


def test_duplicate_images_are_found(people):
    (people.image_dir / "07.jpg").write_bytes(jpeg(picture(1)))
    (people.image_dir / "08.jpg").write_bytes(jpeg(picture(2), quality=50))
    findings = people.inspect()["findings"]
    assert {
        kind: finding["examples"][0]["text"] for kind, finding in findings.items()
    } == {
        "duplicate image: the same file": (
            "07.jpg (image 7) is 01.jpg (image 1) again."
        ),
        "duplicate image: the same picture in another file": (
            "08.jpg (image 8) is 02.jpg (image 2) again."
        ),
    }


def test_names_of_keypoints_are_those_of_the_annotations(people):
    names = [f"{side}_{n}" for n in range(8) for side in ("left", "right")]
    people.content["categories"][0]["keypoints"] = [*names, "tail"]
    report = people.inspect()
    assert [*report["keypoints"]["table"]] == [*names, "tail"]
    assert "left_3, right_3" in report["left and right"]["table"]


def test_keypoints_without_names_are_numbered(people):
    del people.content["categories"][0]["keypoints"]
    for number in range(12):
        people.change(number, keypoints=[60, 40, 2, 70, 50, 2], num_keypoints=2)
    report = people.inspect()
    assert [*report["keypoints"]["table"]] == ["keypoint 0", "keypoint 1"]
    assert "no flip_pairs" in report["left and right"]["notes"][0]


def test_other_records_and_damaged_files_are_findings(people, tmp_path):
    pattern = people.convert()
    first = sorted((tmp_path / "records").glob("train-*"))[0]
    first.write_bytes(first.read_bytes()[:-40])
    findings = run_inspect(tmp_path, f"--records={pattern}")["findings"]
    (finding,) = findings.values()
    assert all(str(first) in example["text"] for example in finding["examples"])


def test_a_record_that_training_cannot_read_is_named(people, tmp_path):
    pattern = people.convert()
    (path, *others) = sorted((tmp_path / "records").glob("train-*.tfrecord"))
    examples = [*tf.data.TFRecordDataset(str(path)).as_numpy_iterator()]
    example = tf.train.Example.FromString(examples[0])
    del example.features.feature["person/area"].float_list.value[:]
    with tf.io.TFRecordWriter(str(tmp_path / "edited")) as writer:
        writer.write(example.SerializeToString())
        writer.write(b"no example")
    names = ",".join(map(str, [tmp_path / "edited", *others]))
    report = run_inspect(tmp_path, f"--records={names}")
    first, second = report["findings"]["record that training cannot read"]["examples"]
    told = f"{tmp_path}/edited: record 1: person/area is not of the people"
    assert first["text"].startswith(told)
    assert second["text"].startswith(f"{tmp_path}/edited: record 2: ")
    assert report["people"]["counts"]["people"] == 12 - len(examples)
    assert pattern


def test_people_whom_training_leaves_out_are_named(people, tmp_path):
    person = Person(42, [50, 10, 40, 100], 0.0, False, standing())
    record = encode_image_record(
        encoded=jpeg(picture(1)),
        image_id=7,
        filename="a.jpg",
        height=HEIGHT,
        width=WIDTH,
        people=[person],
        keypoints_per_person=17,
    )
    path = str(tmp_path / "records")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(record)
    report = run_inspect(tmp_path, f"--records={path}")
    kind = "person with keypoints that training leaves out"
    assert report["findings"][kind]["examples"][0]["annotation_id"] == 42
    assert report["people"]["counts"]["learned in training"] == 0


def test_records_of_another_skeleton_are_refused(people, tmp_path, capsys):
    pattern = people.convert()
    flags = [f"--records={pattern}", "--skeleton=mpii16"]
    assert inspect.main(["inspect", *flags]) == 1
    (error,) = capsys.readouterr().err.splitlines()[-1:]
    assert "17 keypoints per person" in error and "--skeleton" in error


def test_strict_fails_where_something_looks_wrong(people, capsys):
    assert inspect.main(["inspect", *people.flags, "--strict"]) == 0
    people.change(3, num_keypoints=3)
    assert inspect.main(["inspect", *people.flags]) == 0
    assert inspect.main(["inspect", *people.flags, "--strict"]) == 1
    out, err = capsys.readouterr()
    assert "annotation 103" in out
    assert err.splitlines()[-1].startswith("--strict: 1 thing looks wrong in ")


def test_text_and_json_come_with_the_pictures(people, tmp_path, capsys):
    people.change(3, num_keypoints=3)
    output = tmp_path / "looks"
    flags = [*people.flags, f"--output_dir={output}", "--num_rows=2"]
    flags.append("--params_override=task.model.input_size=[64,64]")
    assert inspect.main(["inspect", *flags, "--num_augmented=2"]) == 0
    names = ["doubtful.png", "report.json", "report.txt", "sheet.png"]
    assert sorted(path.name for path in output.iterdir()) == names
    text = (output / "report.txt").read_text()
    printed = capsys.readouterr().out
    assert printed.startswith(text)
    look = printed.splitlines()[-3]  # before the next command
    assert f"Now look at {output}/sheet.png" in look
    assert f"{output}/doubtful.png" in look
    report = json.loads((output / "report.json").read_text())
    assert report["people"]["counts"]["people"] == 12
    assert inspect.main(["inspect", *flags]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert (output / "report.txt").read_text() == text


def test_a_category_with_keypoints_of_its_own_is_chosen(people):
    people.content["categories"] += [
        {"id": 2, "name": "mug", "keypoints": ["rim_left", "rim_right"]}
    ]
    mug = {"keypoints": [60, 40, 2, 70, 50, 2], "num_keypoints": 2, "category_id": 2}
    people.change(3, **mug)
    report = people.inspect("--category=mug")
    assert [*report["keypoints"]["table"]] == ["rim_left", "rim_right"]
    assert report["people"]["counts"]["people"] == 1
    report = people.inspect("--category=person")
    assert report["people"]["counts"]["people"] == 11
