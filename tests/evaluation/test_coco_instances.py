"""Box and mask AP of detections."""

import json

import numpy as np
import pytest

from hrnet_tf.evaluation.coco_files import AnnotationFileError, read_objects
from hrnet_tf.evaluation.coco_instances import (
    MASK_METRICS,
    METRICS,
    COCOInstanceEvaluator,
    format_table,
)

SIZE = (60, 80)
BOXES = {3: [[10, 10, 20, 20], [40, 20, 30, 30]], 4: [[5, 5, 40, 40]], 5: []}
CLASSES = {3: [1, 2], 4: [1], 5: []}


@pytest.fixture
def annotation_file(tmp_path):
    annotations = []
    for image_id, boxes in BOXES.items():
        for box, category in zip(boxes, CLASSES[image_id], strict=True):
            x, y, w, h = box
            polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": image_id,
                    "category_id": category,
                    "bbox": box,
                    "area": w * h,
                    "iscrowd": 0,
                    "segmentation": [polygon],
                }
            )
    content = {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "height": SIZE[0], "width": SIZE[1]}
            for i in BOXES
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": annotations,
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content))
    return path


def make_evaluator(path, with_masks, category_id=None):
    truth = read_objects(str(path), with_masks, "", category_id)
    return COCOInstanceEvaluator(truth, with_masks)


def detections(image_ids, shift=0.0):
    """The annotated objects of images, two rows of padding behind them."""
    arrays = {"boxes": [], "classes": [], "scores": [], "masks": []}
    for image_id in image_ids:
        boxes = np.zeros((4, 4), np.float32)
        classes = np.zeros(4, np.int32)
        count = len(BOXES.get(image_id, []))
        boxes[:count] = np.reshape(BOXES.get(image_id, []), (-1, 4))
        boxes[:count, 0] += shift
        classes[:count] = CLASSES.get(image_id, [])
        arrays["boxes"].append(boxes)
        arrays["classes"].append(classes)
        arrays["scores"].append(np.linspace(0.9, 0.6, 4))
        arrays["masks"].append(np.ones((4, 28, 28), np.float32))
    return {
        "image_id": np.array(image_ids),
        "num_detections": np.array([len(BOXES.get(i, [])) for i in image_ids]),
        "image_size": np.tile(SIZE, (len(image_ids), 1)),
        **{name: np.stack(values) for name, values in arrays.items()},
    }


def test_all_found(annotation_file):
    evaluator = make_evaluator(annotation_file, with_masks=True)
    evaluator.update(detections([3, 4]))
    evaluator.update(detections([5, -1]))
    metrics = evaluator.evaluate()
    assert set(metrics) == {
        *METRICS,
        *MASK_METRICS,
        *("AP/cat", "AP/dog", "mask_AP/cat", "mask_AP/dog"),
    }
    for name in ("AP", "AP50", "AP/dog"):
        assert metrics[name] == pytest.approx(1)
    assert metrics["mask_AP"] > 0.9 and metrics["mask_AP50"] == pytest.approx(1)
    assert metrics["APl"] == -1
    assert len(evaluator.results) == 3


def test_only_the_chosen_categories_are_scored(annotation_file):
    """The cats are found; the dog is not, and a dog is seen where there is none."""
    predicted = detections([3, 4, 5])
    predicted["classes"][0, 1] = 1
    predicted["num_detections"][0] = 2
    predicted["classes"][2, 0] = 2
    predicted["num_detections"][2] = 1
    scores = {}
    for chosen in (None, [], [1, 2], [2], 1):
        evaluator = make_evaluator(annotation_file, with_masks=True, category_id=chosen)
        evaluator.update(predicted)
        scores[str(chosen)] = metrics = evaluator.evaluate()
        assert evaluator.categories == {1: "cat", 2: "dog"}
        names = {"1": {"AP/cat"}, "[2]": {"AP/dog"}}
        assert {name for name in metrics if name.startswith("AP/")} == names.get(
            str(chosen), {"AP/cat", "AP/dog"}
        )
        kept = {row["category_id"] for row in evaluator.results}
        assert kept == {"1": {1}, "[2]": {2}}.get(str(chosen), {1, 2})
        drawn = [row["category_id"] for row in evaluator.objects(3)]
        assert drawn == {"1": [1], "[2]": [2]}.get(str(chosen), [1, 2])
    assert scores["[]"] == scores["[1, 2]"] == scores["None"]
    assert scores["1"]["AP"] == scores["None"]["AP/cat"] > 0.6
    assert scores["[2]"]["AP"] == scores["None"]["AP/dog"] == 0
    assert scores["1"]["mask_AP"] == scores["None"]["mask_AP/cat"] > 0.5


@pytest.mark.parametrize("chosen", [3, [1, 3], 9])
def test_a_category_without_an_object_cannot_be_chosen(annotation_file, chosen):
    content = json.loads(annotation_file.read_text())
    content["categories"].append({"id": 3, "name": "horse"})
    annotation_file.write_text(json.dumps(content))
    with pytest.raises(AnnotationFileError, match=r"(3|9) .*: 1 \(cat\), 2 \(dog\)\."):
        make_evaluator(annotation_file, with_masks=False, category_id=chosen)


def test_categories_of_one_name_are_told_apart(annotation_file):
    content = json.loads(annotation_file.read_text())
    content["categories"][1]["name"] = "cat"
    annotation_file.write_text(json.dumps(content))
    evaluator = make_evaluator(annotation_file, with_masks=False)
    evaluator.update(detections([3]))
    metrics = evaluator.evaluate()
    assert metrics["AP/cat (1)"] < metrics["AP/cat (2)"] == pytest.approx(1)


def test_images_without_detection_count_as_missed(annotation_file):
    evaluator = make_evaluator(annotation_file, with_masks=False)
    evaluator.update(detections([3]))
    metrics = evaluator.evaluate()
    assert metrics["AP/dog"] == pytest.approx(1)
    assert metrics["AP/cat"] == pytest.approx(0.505, abs=0.01)
    assert evaluator.evaluate([3, 5])["AP/cat"] == pytest.approx(1)
    evaluator.reset()
    assert evaluator.evaluate()["AP"] == 0


def test_boxes_beside_the_objects_lose(annotation_file):
    evaluator = make_evaluator(annotation_file, with_masks=True)
    evaluator.update(detections([3, 4], shift=6.0))
    metrics = evaluator.evaluate()
    assert metrics["AP50"] == pytest.approx(1) and metrics["AP75"] < 0.7
    assert metrics["mask_AP"] < 0.7


def test_results_are_coco_results(annotation_file, tmp_path):
    evaluator = make_evaluator(annotation_file, with_masks=True)
    evaluator.update(detections([4]))
    evaluator.write_results(tmp_path / "results.json")
    (row,) = json.loads((tmp_path / "results.json").read_text())
    assert row["image_id"] == 4 and row["category_id"] == 1
    assert row["bbox"] == [5, 5, 40, 40] and row["score"] == pytest.approx(0.9)
    assert row["segmentation"]["size"] == list(SIZE)
    assert [found["bbox"] for found in evaluator.objects(4)] == [[5, 5, 40, 40]]


def test_an_unknown_image_is_refused(annotation_file):
    evaluator = make_evaluator(annotation_file, with_masks=False)
    with pytest.raises(AnnotationFileError, match="image 8, which is not in .*inst"):
        evaluator.update(detections([8]))


def test_files_that_cannot_be_evaluated(annotation_file, tmp_path):
    with pytest.raises(AnnotationFileError, match="no_such"):
        make_evaluator(tmp_path / "no_such.json", with_masks=False)
    content = json.loads(annotation_file.read_text())
    del content["annotations"][0]["segmentation"]
    annotation_file.write_text(json.dumps(content))
    make_evaluator(annotation_file, with_masks=False)
    with pytest.raises(AnnotationFileError, match="segmentation is missing"):
        make_evaluator(annotation_file, with_masks=True)


def test_table(annotation_file):
    evaluator = make_evaluator(annotation_file, with_masks=True)
    evaluator.update(detections([3, 4]))
    lines = format_table(evaluator.evaluate(), "64x96").splitlines()
    assert lines[0] == "COCO boxes and masks, canvas: 64x96"
    assert lines[1].split()[:3] == ["AP", "AP50", "AP75"]
    assert lines[2].split()[:2] == ["boxes", "1.000"]
    assert lines[3].startswith("masks") and "-" in lines[3].split()
    assert lines[4].startswith("AP of cat  1.000 (boxes)")
