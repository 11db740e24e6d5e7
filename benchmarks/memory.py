r"""Peak memory of converting and of evaluating many people.

  python benchmarks/memory.py --people=60000

draws nothing: annotations are made of random numbers, and all images are one grey
picture. Each step runs in a process of its own, whose peak (resident memory, TensorFlow
included) is printed as JSON; `libraries` is that of one that only imports. The scores
are printed to compare them with those of another version.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import flag_values
import measuring
import numpy as np

_STEPS = ("libraries", "convert", "evaluate")
_SIDE = 64


def write_annotations(folder: Path, num_people: int, per_image: int) -> None:
    """Writes images/ and people.json, as COCO's file would be: numbers with digits."""
    import cv2

    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    picture = np.full((_SIDE, _SIDE, 3), 90, np.uint8)
    encoded = cv2.imencode(".jpg", picture)[1].tobytes()
    num_images = num_people // per_image
    for number in range(num_images):
        (folder / "images" / f"{number:012d}.jpg").write_bytes(encoded)
    points = rng.integers(0, _SIDE, (num_people, 17, 3))
    points[..., 2] = rng.integers(0, 3, points.shape[:2])
    points[:, 0, 2] = 2
    areas = rng.uniform(200, 3000, num_people).round(4)
    people = [
        {
            "id": number + 1,
            "image_id": number // per_image,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": [1.25, 2.5, 50.75, 40.5],
            "area": areas[number],
            "num_keypoints": int((points[number, :, 2] > 0).sum()),
            "keypoints": points[number].ravel().tolist(),
            "segmentation": [rng.uniform(0, _SIDE, 40).round(2).tolist()],
        }
        for number in range(num_people)
    ]
    images = [
        {"id": n, "file_name": f"{n:012d}.jpg", "width": _SIDE, "height": _SIDE}
        for n in range(num_images)
    ]
    category = {"id": 1, "name": "person"}
    content = {"images": images, "categories": [category], "annotations": people}
    (folder / "people.json").write_text(json.dumps(content))


def run_step(step: str, folder: Path) -> dict[str, object]:
    """What one process tells of itself."""
    from hrnet_tf.data.converters import coco_pose
    from hrnet_tf.data.vocabularies.skeletons import load_skeleton
    from hrnet_tf.tasks import pose  # noqa: F401

    skeleton = load_skeleton("coco17")
    told: dict[str, object] = {}
    start = time.perf_counter()
    if step == "convert":
        coco_pose.convert(
            str(folder / "images"),
            str(folder / "people.json"),
            str(folder / "records/train"),
            skeleton,
            overwrite=True,
        )
    elif step == "evaluate":
        told["scores"] = evaluate(str(folder / "people.json"), skeleton)
    return {
        "peak_mib": int(measuring.peak_mib()),
        "seconds": round(time.perf_counter() - start, 1),
        **told,
    }


def evaluate(path: str, skeleton) -> dict[str, float]:
    """Scores of the annotated people, a little moved."""
    from hrnet_tf.evaluation.coco_files import read_people
    from hrnet_tf.evaluation.coco_keypoints import COCOKeypointEvaluator

    rng = np.random.default_rng(1)
    truth = read_people(path, skeleton)
    evaluator = COCOKeypointEvaluator(truth, skeleton.sigmas)
    for image_id, people in truth.content.people.items():
        keypoints = np.array([list(p.keypoints) for p in people], np.float32)
        keypoints = keypoints.reshape(-1, 17, 3)
        keypoints[..., :2] += rng.normal(0, 3, keypoints[..., :2].shape)
        keypoints[..., 2] = rng.uniform(0, 1, keypoints.shape[:2])
        evaluator.update(
            {
                "image_id": np.full(len(people), image_id),
                "keypoints": keypoints,
                "box_score": np.ones(len(people), np.float32),
                "area": np.array([p.area for p in people], np.float32),
            }
        )
    metrics = evaluator.evaluate()
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        evaluator.write_results(file.name)
        metrics["results_bytes"] = os.path.getsize(file.name)
    return metrics


def main() -> None:
    """Measures all steps, or runs one."""
    values = _parse_flags()
    if values.step:
        print(json.dumps(run_step(values.step, Path(values.dir))))
        return
    found = {"people": values.people}
    with tempfile.TemporaryDirectory() as name:
        write_annotations(Path(name), values.people, values.per_image)
        for step in _STEPS:
            output = subprocess.run(
                [sys.executable, __file__, f"--step={step}", f"--dir={name}"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            found[step] = json.loads(output.splitlines()[-1])
    print(json.dumps(found, indent=1))


def _parse_flags() -> argparse.Namespace:
    # Without --rounds, --cores and --json: each step is done once, since a second time
    # would raise the peak.
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, count = made.add_argument, flag_values.count
    add("--people", type=count, default=60_000, help="people to annotate")
    add("--per_image", type=count, default=2, help="people in an image")
    add("--step", choices=_STEPS, help="run one step here, in --dir")
    add("--dir", type=flag_values.existing, help="folder of the annotations")
    values = made.parse_args()
    if values.step and not values.dir:
        made.error("--step needs --dir, the folder of the annotations.")
    return values


if __name__ == "__main__":
    main()
