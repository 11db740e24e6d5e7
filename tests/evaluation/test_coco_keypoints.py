import contextlib
import io
import json
import tracemalloc

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.evaluation import coco_keypoints
from hrnet_tf.evaluation.coco_files import AnnotationFileError, read_people

COCO_SIGMAS = (
    np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89])
    / 1000
)
FIVE_SIGMAS = np.array([0.05, 0.1, 0.1, 0.08, 0.08])


def names(count):
    """Names of keypoints, a letter each."""
    return list("abcdefghijklmnopq"[:count])


def make_skeleton(sigmas):
    return Skeleton("test", tuple(names(len(sigmas))), (), tuple(sigmas), (), ())


def make_people(num_images, people_per_image, num_keypoints, seed=0):
    """Ground truth on a 300-pixel grid, each person about 120 x 200 pixels."""
    rng = np.random.default_rng(seed)
    annotations = []
    for image_id in range(num_images):
        for person in range(people_per_image):
            x, y = 300.0 * person, 50.0
            points = rng.uniform([x, y], [x + 120, y + 200], (num_keypoints, 2))
            visibility = rng.choice([0, 1, 2], num_keypoints, p=[0.2, 0.3, 0.5])
            visibility[0] = 2
            points[visibility == 0] = 0
            keypoints = np.column_stack([points, visibility])
            annotations.append(
                {
                    # From 0, which COCOeval itself would take for "no match".
                    "id": len(annotations),
                    "image_id": image_id,
                    "category_id": 1,
                    "keypoints": keypoints.ravel().tolist(),
                    "num_keypoints": int((visibility > 0).sum()),
                    "area": 10000.0,
                    "bbox": [x, y, 120.0, 200.0],
                    "iscrowd": 0,
                }
            )
    return annotations


def write_annotations(path, annotations, **replaced):
    dataset = {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "width": 800, "height": 400}
            for i in sorted({a["image_id"] for a in annotations})
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": names(17)}],
        "annotations": annotations,
    }
    path.write_text(json.dumps({**dataset, **replaced}))
    return str(path)


def perfect_predictions(annotations, num_keypoints, noise=0.0, seed=1):
    keypoints = np.array([a["keypoints"] for a in annotations], np.float32)
    keypoints = keypoints.reshape(-1, num_keypoints, 3)
    rng = np.random.default_rng(seed)
    keypoints[..., :2] += noise * rng.standard_normal(keypoints[..., :2].shape)
    keypoints[..., 2] = rng.uniform(0.3, 1.0, keypoints.shape[:2])
    return {
        "image_id": np.array([a["image_id"] for a in annotations]),
        "keypoints": keypoints,
        "box_score": np.ones(len(annotations), np.float32),
        "area": np.full(len(annotations), 1.25**2 * 120 * 200, np.float32),
    }


def rows(predictions, index):
    return {name: values[index] for name, values in predictions.items()}


@pytest.fixture(name="annotations")
def fixture_annotations():
    return make_people(num_images=6, people_per_image=2, num_keypoints=17)


@pytest.fixture(name="annotation_file")
def fixture_annotation_file(tmp_path, annotations):
    return write_annotations(tmp_path / "people.json", annotations)


def make_evaluator(annotation_file, category_id=None, sigmas=COCO_SIGMAS, **kwargs):
    skeleton = make_skeleton(sigmas)
    truth = read_people(str(annotation_file), skeleton, category_id)
    return coco_keypoints.COCOKeypointEvaluator(truth, sigmas, **kwargs)


def evaluate(annotation_file, predictions, **kwargs):
    evaluator = make_evaluator(annotation_file, **kwargs)
    evaluator.update(predictions)
    return evaluator.evaluate()


def test_perfect_predictions_score_one(annotation_file, annotations, capsys):
    metrics = evaluate(annotation_file, perfect_predictions(annotations, 17))
    assert set(metrics) == set(coco_keypoints.METRICS)
    assert all(type(value) is float for value in metrics.values())
    assert metrics["keypoint_AP"] == pytest.approx(1)
    assert metrics["keypoint_AR"] == pytest.approx(1)
    # All people have an area of 100^2 pixels: they are large, and none is medium.
    assert metrics["keypoint_APL"] == pytest.approx(1)
    assert metrics["keypoint_APM"] == metrics["keypoint_ARM"] == -1
    assert capsys.readouterr().out == ""


def test_predictions_take_little_memory(tmp_path):
    people = make_people(500, 2, 17)
    write_annotations(tmp_path / "people.json", people)
    evaluator = make_evaluator(tmp_path / "people.json")
    predictions = perfect_predictions(people, 17)
    tracemalloc.start()
    try:
        for start in range(0, len(people), 50):
            evaluator.update(rows(predictions, slice(start, start + 50)))
        assert tracemalloc.get_traced_memory()[0] < 300 * len(people)
        tracemalloc.reset_peak()
        evaluator.evaluate()
        assert tracemalloc.get_traced_memory()[1] < 7000 * len(people)
    finally:
        tracemalloc.stop()


def test_more_noise_scores_lower(annotation_file, annotations):
    noisy = [perfect_predictions(annotations, 17, noise) for noise in (0, 4, 8, 100)]
    aps = [evaluate(annotation_file, people)["keypoint_AP"] for people in noisy]
    assert aps == sorted(aps, reverse=True)
    assert 0.1 < aps[2] < aps[1] < 1
    assert aps[3] < 0.05


def test_equals_a_direct_run_of_cocoeval(tmp_path, annotations):
    for annotation in annotations:  # Ids that pycocotools itself handles.
        annotation["id"] += 1
    annotations[0]["area"] = 50.0**2
    annotations[1].update(iscrowd=1)
    annotations[2].update(keypoints=[0] * 51, num_keypoints=0)
    annotation_file = write_annotations(tmp_path / "people.json", annotations)
    predictions = perfect_predictions(annotations, 17, noise=8.0)
    predictions["keypoints"][..., 2] = 0.5
    predictions["box_score"] = np.linspace(0.1, 0.9, len(annotations))
    by_hand = [
        {
            "image_id": int(predictions["image_id"][i]),
            "category_id": 1,
            "keypoints": predictions["keypoints"][i].astype(float).ravel().tolist(),
            "score": float(0.5 * predictions["box_score"][i]),
        }
        for i in range(len(annotations))
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = COCO(annotation_file)
        coco_eval = COCOeval(ground_truth, ground_truth.loadRes(by_hand), "keypoints")
        coco_eval.evaluate()
        coco_eval.accumulate()
        coco_eval.summarize()
    metrics = evaluate(annotation_file, predictions)
    expected = dict(zip(coco_keypoints.METRICS, coco_eval.stats, strict=True))
    assert metrics == pytest.approx(expected, abs=1e-9)
    assert 0.1 < metrics["keypoint_AP"] < 0.95
    assert 0 <= metrics["keypoint_APM"] != metrics["keypoint_APL"]


def test_results_carry_the_rescored_people(annotation_file, annotations):
    predictions = rows(perfect_predictions(annotations, 17), slice(0, 2))
    predictions["keypoints"][..., 2] = 0.1
    predictions["keypoints"][0, :3, 2] = [0.3, 0.6, 0.9]
    predictions["keypoints"][1, :2, 2] = [0.8, 1.0]
    predictions["box_score"] = np.array([0.5, 0.9])
    evaluator = make_evaluator(annotation_file)
    evaluator.update(predictions)
    best, other = evaluator.results
    assert best["score"] == pytest.approx(0.9 * 0.9)
    assert other["score"] == pytest.approx(0.5 * 0.6)
    np.testing.assert_allclose(best["keypoints"], predictions["keypoints"][1].ravel())


def doubled(predictions):
    """Every person twice: a second time moved by 2 pixels and scored half."""
    double = {name: np.concatenate([v, v]) for name, v in predictions.items()}
    half = len(double["image_id"]) // 2
    double["keypoints"][half:, :, :2] += 2
    double["box_score"][half:] *= 0.5
    double["box_score"][double["image_id"] == 0] *= 4  # Copies above other people.
    return double


def test_nms_removes_duplicates(annotation_file, annotations):
    predictions = doubled(perfect_predictions(annotations, 17))
    evaluator = make_evaluator(annotation_file)
    evaluator.update(predictions)
    assert len(evaluator.results) == len(annotations)
    assert evaluator.evaluate()["keypoint_AP"] == pytest.approx(1)
    # No OKS is above 1, so nothing is removed.
    metrics = evaluate(annotation_file, predictions, oks_nms_threshold=1.0)
    assert metrics["keypoint_AP"] < 0.95


def test_nms_compares_only_people_of_one_image(annotation_file, annotations):
    predictions = perfect_predictions(annotations, 17)
    predictions["keypoints"][:] = predictions["keypoints"][0]
    evaluator = make_evaluator(annotation_file)
    evaluator.update(predictions)
    assert [result["image_id"] for result in evaluator.results] == list(range(6))


def test_nms_uses_the_area_of_the_padded_box(annotation_file, annotations):
    predictions = doubled(perfect_predictions(annotations, 17))
    predictions["area"][:] = 30.0**2  # 2 pixels are then far apart.
    evaluator = make_evaluator(annotation_file)
    evaluator.update(predictions)
    assert len(evaluator.results) == 2 * len(annotations)


def test_soft_nms_keeps_at_most_twenty_people(annotation_file, annotations):
    person = rows(perfect_predictions(annotations, 17), np.zeros(25, int))
    person["keypoints"][..., 0] += np.arange(25)[:, np.newaxis]
    evaluator = make_evaluator(annotation_file, soft_oks_nms=True)
    evaluator.update(person)
    assert len(evaluator.results) == 20


def test_order_and_split_of_batches_do_not_matter(annotation_file, annotations):
    predictions = doubled(perfect_predictions(annotations, 17, noise=8.0))
    predictions["keypoints"][..., 2] = 0.5  # Ties everywhere.
    first = make_evaluator(annotation_file)
    first.update(predictions)
    permutation = np.random.default_rng(3).permutation(len(predictions["image_id"]))
    second = make_evaluator(annotation_file)
    for index in np.array_split(permutation, 5):
        second.update(rows(predictions, index))
    assert second.results == first.results
    assert second.evaluate() == first.evaluate()


def test_five_keypoints_and_another_category(tmp_path):
    annotations = make_people(num_images=3, people_per_image=2, num_keypoints=5)
    for annotation in annotations:
        annotation["category_id"] = 7
    categories = [{"id": 1, "name": "car"}, {"id": 7, "keypoints": list("abcde")}]
    path = write_annotations(tmp_path / "f.json", annotations, categories=categories)
    tight = make_evaluator(path, sigmas=FIVE_SIGMAS)
    loose = make_evaluator(path, sigmas=3 * FIVE_SIGMAS)
    assert tight.category_id == 7
    tight.update(perfect_predictions(annotations, 5))
    assert tight.evaluate()["keypoint_AP"] == pytest.approx(1)
    tight.reset()
    tight.update(perfect_predictions(annotations, 5, noise=10.0))
    loose.update(perfect_predictions(annotations, 5, noise=10.0))
    assert tight.evaluate()["keypoint_AP"] < loose.evaluate()["keypoint_AP"]


def test_no_predictions_score_zero(annotation_file):
    evaluator = make_evaluator(annotation_file)
    metrics = evaluator.evaluate()
    assert metrics["keypoint_AP"] == metrics["keypoint_AR"] == 0
    assert evaluator.results == []
    assert evaluator.images_without_prediction == list(range(6))


def test_padding_rows_are_ignored(annotation_file, annotations):
    predictions = perfect_predictions(annotations, 17)
    predictions["image_id"][4:] = -1
    predictions["keypoints"][4:] = np.nan
    evaluator = make_evaluator(annotation_file)
    evaluator.update(predictions)
    evaluator.update(rows(predictions, slice(6, 8)))  # Nothing but padding.
    assert len(evaluator.results) == 4
    evaluator.reset()
    evaluator.update(rows(predictions, slice(6, 8)))
    assert evaluator.evaluate()["keypoint_AP"] == 0


def test_reset_forgets(annotation_file, annotations):
    evaluator = make_evaluator(annotation_file)
    evaluator.update(perfect_predictions(annotations, 17, noise=30.0))
    assert evaluator.evaluate()["keypoint_AP"] < 0.5
    evaluator.reset()
    evaluator.update(perfect_predictions(annotations, 17))
    assert evaluator.evaluate()["keypoint_AP"] == pytest.approx(1)


def test_images_without_prediction_are_named_in_a_warning(
    tmp_path, annotations, caplog
):
    # Nobody is expected to predict crowds or people without labels.
    annotations[8].update(iscrowd=1)
    annotations[9].update(keypoints=[0] * 51, num_keypoints=0)
    annotation_file = write_annotations(tmp_path / "crowd.json", annotations)
    evaluator = make_evaluator(annotation_file, box_source="detector.json")
    evaluator.update(rows(perfect_predictions(annotations, 17), slice(0, 8)))
    evaluator.evaluate()
    assert evaluator.images_without_prediction == [5]
    assert "1 of the 5 images" in caplog.text
    assert "detector.json" in caplog.text


def test_annotations_may_lack_optional_fields(tmp_path, annotations):
    predictions = perfect_predictions(annotations, 17)
    for annotation in annotations:
        del annotation["iscrowd"], annotation["num_keypoints"]
    del annotations[0]["keypoints"]
    path = write_annotations(tmp_path / "sparse.json", annotations)
    assert evaluate(path, predictions)["keypoint_AP"] == pytest.approx(1)


def test_written_results_are_the_results(tmp_path, annotation_file, annotations):
    evaluator = make_evaluator(annotation_file)
    evaluator.update(perfect_predictions(annotations, 17))
    evaluator.evaluate()
    evaluator.write_results(tmp_path / "results.json")
    written = json.loads((tmp_path / "results.json").read_text())
    assert written == evaluator.results
    assert set(written[0]) == {"image_id", "category_id", "keypoints", "score"}
    assert {file.name for file in tmp_path.iterdir()} == {"people.json", "results.json"}


def test_table_shows_the_metrics_and_the_box_source(annotation_file):
    metrics = {name: 0.1 * i for i, name in enumerate(coco_keypoints.METRICS)}
    metrics["keypoint_APM"] = -1.0
    evaluator = make_evaluator(annotation_file, box_source="detector.json")
    table = evaluator.format_table(metrics, flip_test=True, codec="dark")
    title, names, values, note = table.splitlines()
    assert title == "COCO keypoints, boxes: detector.json, flip test: on, codec: dark"
    assert names.split()[:5] == ["AP", "AP50", "AP75", "APM", "APL"]
    assert values.split()[:5] == ["0.000", "0.100", "0.200", "-", "0.400"]
    assert len(names) == len(values)
    assert note.startswith("-")


def test_unknown_image_is_refused(annotation_file, annotations):
    predictions = perfect_predictions(annotations, 17)
    predictions["image_id"][3] = 12345
    with refused("have image 12345, which is not in .*people.json"):
        make_evaluator(annotation_file).update(predictions)


@pytest.mark.parametrize("name", ["keypoints", "box_score", "area"])
def test_numbers_that_are_not_finite_are_refused(annotation_file, annotations, name):
    predictions = perfect_predictions(annotations, 17)
    predictions[name][4] = np.nan
    with pytest.raises(ValueError, match=f"{name}.*image 2"):
        make_evaluator(annotation_file).update(predictions)


def test_wrong_shapes_are_refused(annotation_file, annotations):
    predictions = perfect_predictions(annotations, 17)
    predictions["keypoints"] = predictions["keypoints"][:, :16]
    with pytest.raises(ValueError, match=r"\(12, 16, 3\).*\(12, 17, 3\)"):
        make_evaluator(annotation_file).update(predictions)


def refused(match):
    return pytest.raises(AnnotationFileError, match=match)


def test_missing_file_is_an_error(tmp_path):
    with refused("nowhere.json"):
        make_evaluator(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not valid JSON"),
        ("{'a': 1}", "is not valid JSON"),
        ("[]", "has no list 'images'"),
        ('{"images": [], "annotations": [{}]}', "has no list 'categories'"),
    ],
)
def test_file_that_is_not_coco_is_an_error(tmp_path, text, message):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with refused(f"broken.json {message}"):
        make_evaluator(path)


def test_file_without_keypoints_is_an_error(tmp_path, annotations):
    for annotation in annotations:
        del annotation["keypoints"], annotation["num_keypoints"]
    path, categories = tmp_path / "boxes.json", [{"id": 1, "name": "person"}]
    boxes_only = write_annotations(path, annotations, categories=categories)
    with refused("No category"):
        make_evaluator(boxes_only)
    with refused("labelled keypoint"):
        make_evaluator(boxes_only, category_id=1)


def test_wrong_annotations_are_named(tmp_path, annotations):
    del annotations[5]["area"]
    with refused("annotation 5 .*area is missing"):
        make_evaluator(write_annotations(tmp_path / "area.json", annotations))
    annotations[3]["keypoints"] = annotations[3]["keypoints"][:48]
    with refused("annotation 3 .*has 48 numbers.*51"):
        make_evaluator(write_annotations(tmp_path / "short.json", annotations))


def test_several_keypoint_categories_need_a_choice(tmp_path, annotations):
    categories = [
        {"id": 1, "name": "person", "keypoints": names(17)},
        {"id": 2, "name": "dog", "keypoints": names(17)},
    ]
    path = write_annotations(tmp_path / "p.json", annotations, categories=categories)
    with refused(r"1 \(person\), 2 \(dog\)"):
        make_evaluator(path)
    assert make_evaluator(path, category_id=1).category_id == 1
    with refused("0 categories with the id 9"):
        make_evaluator(path, category_id=9)
