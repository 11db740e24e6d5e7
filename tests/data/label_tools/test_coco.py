"""COCO's JSON of other tools. coco_datumaro.json was written by datumaro 1.13."""

import json
import subprocess
import sys

import pytest
from pycocotools.coco import COCO

PERSON = {
    "id": 3,
    "image_id": 7,
    "category_id": 2,
    "bbox": [8, 6, 14, 28.5],
    "area": 300,
    "iscrowd": 0,
    "keypoints": [15, 11.25, 2, 8.5, 30, 1, 0, 0, 0],
    "num_keypoints": 2,
}


def file(folder, annotations=None, **lists):
    content = {
        "info": {"year": 2026},
        "licenses": [{"id": 1}],
        "images": [
            {
                "id": 7,
                "file_name": "a.png",
                "width": 64,
                "height": 48,
                "crowdIndex": 0.3,
            }
        ],
        "categories": [
            {
                "id": 2,
                "name": "person",
                "supercategory": "animal",
                "keypoints": ["nose", "left_hand", "right_hand"],
                "skeleton": [[1, 2], [3, 1]],
            }
        ],
        "annotations": [PERSON] if annotations is None else annotations,
        **lists,
    }
    path = folder / "labels.json"
    path.write_text(json.dumps(content))
    return path


def test_a_complete_file_loses_nothing(data, importing):
    person = PERSON | {
        "segmentation": [[40.5, 10, 50, 10, 50, 40]],
        "attributes": {"occluded": True},
        "track_id": 5,
        "foot_kpts": [1, 2, 0],
    }
    path = file(data, [person])
    found = importing("coco", path)
    assert found.content == json.loads(path.read_text())
    assert found.skeleton == {
        "name": "person",
        "keypoints": ["nose", "left_hand", "right_hand"],
        "limbs": [["nose", "left_hand"], ["right_hand", "nose"]],
    }
    assert COCO(str(found.path)).getAnnIds(imgIds=[7]) == [3]
    (record,) = found.records(data / "images")
    assert record["person_id"] == [3]


def test_what_datumaro_wrote(data, importing):
    found = importing("coco", data / "coco_datumaro.json")
    assert found.keypoints(0) == [[15, 11.25, 2], [8.5, 30, 1], [22, 30, 2]]
    assert found.objects[0]["area"] == 399
    assert "1  skeletons left out whose pairs are not numbers of keypoints" in found.out
    assert "limbs: none are written" in found.out
    assert len(found.records(data / "images")) == 2


def test_what_tools_leave_out_is_completed(data, importing):
    bare = {"image_id": 7, "category_id": 2}
    outline = [[40, 10, 50, 10, 50, 40, 40, 40]]
    annotations = [
        bare | {"id": 0, "segmentation": outline, "bbox": []},
        bare | {"id": 1, "bbox": [1, 2, 3, 4], "area": 0, "segmentation": []},
        bare | {"id": 2, "bbox": [1, 2, 3, 4], "keypoints": [[1, 2, 2]] * 3},
        PERSON | {"id": 3, "num_keypoints": 9},
        PERSON | {"id": 4, "keypoints": [None, None, 0, 1, 2, 2, float("nan"), 0, 0]},
    ]
    flags = ["--area_from=box", "--box_from=segmentation"]
    found = importing("coco", file(data, annotations), *flags)
    assert [entry["id"] for entry in found.objects] == [1, 2, 3, 4, 5]
    assert found.objects[0]["bbox"] == [40, 10, 10, 30]
    assert [entry["area"] for entry in found.objects] == [300, 12, 12, 300, 300]
    assert [entry["num_keypoints"] for entry in found.objects] == [0, 0, 3, 2, 1]
    assert found.keypoints(4) == [[0, 0, 0], [1, 2, 2], [0, 0, 0]]
    for line in (
        "1    boxes missing, made from the segmentation",
        "3    areas missing, taken from the box",
        "5  annotation ids changed, since some cannot be used",
        "1  keypoints written as lists of lists, made plain",
        "2  num_keypoints wrong, counted instead",
        "1  num_keypoints missing, counted",
    ):
        assert line in found.out
    found.records(data / "images")


def test_areas_of_outlines(data, importing, refused):
    outline = [[40, 10, 50, 10, 50, 40, 40, 40]]
    person = PERSON | {"segmentation": outline, "area": None}
    found = importing("coco", file(data, [person]), "--area_from=segmentation")
    assert found.objects[0]["area"] == 300
    path = file(data, [person | {"segmentation": []}])
    assert "segmentation is missing" in refused(
        "coco", path, "--area_from=segmentation"
    )
    assert "annotations[0]: it has no area; add --area_from=box or" in refused(
        "coco", path
    )


def test_images_of_one_file_are_told(data, importing):
    image = {"file_name": "a.png", "width": 64, "height": 48}
    path = file(data, images=[image | {"id": 7}, image | {"id": 8}])
    found = importing("coco", path)
    assert len(found.content["images"]) == 2
    assert "1    of these of a file that has been listed before" in found.out


def test_masks_of_crowds_stay(data, importing):
    mask = {"size": [48, 64], "counts": [100, 20, 2952]}
    crowd = PERSON | {"iscrowd": 1, "segmentation": mask, "bbox": None}
    found = importing("coco", file(data, [crowd]), "--box_from=segmentation")
    assert found.objects[0]["segmentation"] == mask
    assert found.objects[0]["bbox"] == [2, 4, 1, 20]
    assert "1    of these crowds" in found.out


def test_ids_written_as_texts_and_a_category_0(data, importing):
    person = PERSON | {"image_id": "7", "category_id": 0}
    categories = [{"id": "0", "name": "person", "keypoints": ["a", "b", "c"]}]
    found = importing("coco", file(data, [person], categories=categories))
    assert found.content["categories"][0]["id"] == 1
    assert found.objects[0]["category_id"] == 1
    assert found.objects[0]["image_id"] == 7
    assert "1  category ids changed" in found.out


def test_keypoints_without_names_and_built_in_ones(data, importing):
    categories = [{"id": 2, "name": "person"}]
    found = importing("coco", file(data, categories=categories))
    assert found.skeleton["keypoints"] == [f"keypoint_{n}" for n in range(3)]
    from hrnet_tf.data.vocabularies.skeletons import load_skeleton

    names = list(load_skeleton("coco17").keypoints)
    person = PERSON | {"keypoints": [1, 2, 2] * 17, "num_keypoints": 17}
    categories = [{"id": 2, "name": "person", "keypoints": names}]
    path = file(data, [person], categories=categories)
    found = importing("coco", path, "--overwrite")
    assert "These are the keypoints of coco17: --skeleton=coco17" in found.out


def test_sizes_of_the_files(data, importing, refused):
    path = file(data, images=[{"id": 7, "file_name": "a.png"}])
    assert "width or height is missing; give the folder" in refused("coco", path)
    found = importing("coco", path, f"--image_dir={data}/images")
    assert found.content["images"][0]["height"] == 48
    path = file(data, images=[{"id": 7, "file_name": "gone.png"}])
    sentence = refused("coco", path, f"--image_dir={data}/images")
    assert "gone.png does not exist" in sentence


def test_skipping_an_image_leaves_its_objects_out(data, importing):
    images = [
        {"id": 7, "file_name": "", "width": 64, "height": 48},
        {"id": 8, "file_name": "b.png", "width": 64, "height": 48},
    ]
    path = file(data, images=images)
    found = importing("coco", path, "--on_error=skip")
    assert found.objects == []
    assert "1  annotations of skipped images, left out" in found.out
    assert "images[0]: file_name is ''" in found.err


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        (3, "annotations[0]: the annotation is 3; it must be an object"),
        ({"image_id": 8}, "image_id 8 is not in 'images'"),
        ({"image_id": True}, "image_id is true; it must be a whole number"),
        ({"category_id": 9}, "category_id 9 is not in 'categories'"),
        ({"bbox": [1, 2, 3]}, "bbox is [1, 2, 3]; it must be four finite numbers"),
        ({"bbox": [1, 2, float("nan"), 4]}, "it must be four finite numbers"),
        ({"bbox": None}, "it has no box; to make one, add --box_from=keypoints and a"),
        (
            {"bbox": None, "keypoints": None},
            "it has no box, outline or keypoint at all",
        ),
        ({"area": "x"}, "area is 'x'; it must be a number"),
        ({"area": -1}, "area is -1; it must be a number of pixels >= 0"),
        ({"iscrowd": 2}, "iscrowd is 2; it must be 0 or 1"),
        (
            {"keypoints": [1, 2, 2]},
            "keypoints has 3 numbers; the 3 keypoints of 'person'",
        ),
        ({"keypoints": ["x"] * 9}, "keypoint 'nose' has visibility 'x'"),
        ({"keypoints": [1, 2, 3] * 3}, "keypoint 'nose' has visibility 3"),
        ({"keypoints": [None, 2, 2] * 3}, "x of 'nose' is null; it must be a number"),
        ({"segmentation": [[1, 2]]}, "segmentation"),
        ({"segmentation": 7}, "segmentation is 7; it must be a list"),
        ({"segmentation": {"size": [1, 1], "counts": [1]}}, "the image has [48, 64]"),
        ({"attributes": [1]}, "attributes is [1]; it must be an object"),
    ],
)
def test_damaged_annotations_are_refused(data, refused, person, expected):
    annotation = PERSON | person if isinstance(person, dict) else person
    assert expected in refused("coco", file(data, [annotation]))


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ({"images": 3}, "has no list 'images'"),
        ({"images": []}, "image_id 7 is not in 'images'"),
        ({"images": [{"id": "x"}]}, "images[0]: id is 'x'; it must be a whole number"),
        ({"categories": [3]}, "categories[0] is 3; it must be an object"),
        ({"categories": [{"id": 2}]}, "the name of categories[0] is null"),
        ({"categories": [{"id": 2, "name": "a", "keypoints": ["n", "n"]}]}, "twice"),
        ({"categories": [{"id": n, "name": "a"} for n in (2, 3)]}, "the name 'a'"),
    ],
)
def test_damaged_files_are_refused(data, refused, lists, expected):
    assert expected in refused("coco", file(data, **lists))


def test_labels_are_read_without_waiting_for_tensorflow(data):
    script = (
        "import sys; from hrnet_tf.data import import_annotations as command; "
        "code = command.main(sys.argv); sys.exit(code or 'tensorflow' in sys.modules)"
    )
    flags = [f"--input={data}/labelme", f"--output={data}/out/people.json"]
    flags += ["--from=labelme", "--area_from=box", "--box_from=segmentation"]
    subprocess.run([sys.executable, "-c", script, *flags], check=True)
