r"""Peak memory of converting and of evaluating many people.

  python benchmarks/memory.py --people=60000

draws nothing: annotations are made of random numbers, and all images are one grey
picture. Each step runs in a process of its own, whose peak (resident memory, TensorFlow
included) is printed as JSON; `libraries` is that of one that only imports. The scores
are printed to compare them with those of another version.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_PEOPLE = flags.DEFINE_integer("people", 60_000, "People to annotate.")
_PER_IMAGE = flags.DEFINE_integer("per_image", 2, "People in an image.")
_STEP = flags.DEFINE_enum(
    "step", None, ["libraries", "convert", "evaluate"], "Run one step here, in --dir."
)
_DIR = flags.DEFINE_string("dir", None, "Folder of the annotations.")
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
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "peak_mib": peak // 1024,
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


def main(argv: list[str]) -> None:
    """Measures all steps, or runs one."""
    del argv
    if _STEP.value:
        print(json.dumps(run_step(_STEP.value, Path(_DIR.value))))
        return
    found = {"people": _PEOPLE.value}
    with tempfile.TemporaryDirectory() as name:
        write_annotations(Path(name), _PEOPLE.value, _PER_IMAGE.value)
        for step in ("libraries", "convert", "evaluate"):
            output = subprocess.run(
                [sys.executable, __file__, f"--step={step}", f"--dir={name}"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            found[step] = json.loads(output.splitlines()[-1])
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    app.run(main)
