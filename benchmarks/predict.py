"""Prediction of a folder: ours beside the loop that one would write with OpenCV.

    python benchmarks/predict.py --images=500

Both read pictures, crop the people of a file of boxes, run the same exported model,
draw skeletons and write pictures and a results.json. Pictures are generated, at COCO's
size and weight. The loop is cv2.imread, cv2.warpAffine, a call of the model for an
image's people (a .tflite file takes one after the other), cv2.line and cv2.imwrite; its
crops are ours to a grey level. A second table has our stages one by one, in
milliseconds of CPU for each image.
"""

import json
import os
import shutil
import tempfile
from typing import Any

import cv2
import exported
import flag_values
import measuring
import numpy as np
import photographs

from hrnet_tf.configs.variants import ALL_VARIANTS

OURS, PEER = "hrnet_tf", "OpenCV loop"
FORMATS = ("saved_model", "tflite")
STAGES = ("read", "crop, network, decode", "rows", "draw", "write")


def main() -> None:
    """Exports a model, lets both predict and prints two tables."""
    parser = flag_values.parser(__doc__, rounds=3)
    parser.add_argument(
        "--images", type=flag_values.count, default=100, help="in the folder"
    )
    parser.add_argument("--people_per_image", type=flag_values.average, default=2.0)
    parser.add_argument("--variant", default="w18_small_v1", choices=ALL_VARIANTS)
    parser.add_argument("--size", type=flag_values.size, default=[128, 96])
    parser.add_argument(
        "--formats", type=flag_values.some_of(FORMATS), default=list(FORMATS)
    )
    arguments = parser.parse_args()
    measuring.pin(arguments.cores)
    rows, stages, summary = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        image_dir, boxes = photographs.write_people(
            folder, arguments.images, arguments.people_per_image
        )
        files = {"saved_model": "saved_model", "tflite": "none"}
        names = arguments.formats
        formats = [files[name] for name in names]
        exported.write_once(
            __file__, folder, arguments.variant, arguments.size, formats
        )
        for name in names:
            model = "saved_model/1" if name == "saved_model" else "none.tflite"
            given = {
                "model": os.path.join(folder, model),
                "image_dir": image_dir,
                "boxes": boxes,
                "output_dir": os.path.join(folder, f"predicted_{name}"),
            }
            rounds = measuring.take_turns(
                __file__,
                {
                    OURS: measuring.Contender("ours", given),
                    PEER: measuring.Contender("loop", given),
                    "stages": measuring.Contender("stages", given),
                },
                arguments.rounds,
            )
            rows.append({"model": name, **_compared(rounds, arguments.images)})
            told = {stage: rounds.median("stages", stage) for stage in STAGES}
            stages.append({"model": name, **told, "together": sum(told.values())})
            summary.append(_summed_up(rows[-1]))
    size = "x".join(map(str, arguments.size))
    what = f"{arguments.variant}, {size}, {arguments.people_per_image:g} people"
    settings = {**vars(arguments), "stages": stages}
    measuring.tell(f"Prediction of a folder, {what} each", rows, settings, summary)
    print(f"Milliseconds of CPU for each image\n\n{measuring.markdown(stages)}")


def _compared(rounds: measuring.Rounds, images: int) -> dict[str, Any]:
    return {
        **{f"{n}, images/s": images / rounds.median(n) for n in (OURS, PEER)},
        "times as fast": rounds.times_as_fast(OURS, PEER),
        **{
            f"{n}, CPU ms": 1e3 * rounds.median(n, "cpu_seconds") / images
            for n in (OURS, PEER)
        },
        "our peak, MiB": rounds.peak_mib(OURS),
    }


def _summed_up(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "work": f"predict a folder, {row['model']}",
        "ours": f"{row[f'{OURS}, images/s']:.1f} images/s",
        "peer": f"{PEER} {row[f'{PEER}, images/s']:.1f} images/s",
        "times as fast": row["times as fast"],
    }


# ---- contenders ----


def ours(model: str, image_dir: str, boxes: str, output_dir: str) -> measuring.Work:
    """What `python -m hrnet_tf.predict` does once the model is loaded."""
    from hrnet_tf.data.files.person_boxes import PersonBoxes
    from hrnet_tf.serving import inputs, predicting
    from hrnet_tf.serving.predictors import load_predictor

    predictor = load_predictor(model)
    people = PersonBoxes(boxes, 1)
    files = inputs.find_inputs(image_dir, output_dir)
    people.check([file.name for file in files])

    def work() -> None:
        shutil.rmtree(output_dir, ignore_errors=True)
        predicting.predict_all(predictor, files, output_dir, people)

    return work


def stages(model: str, image_dir: str, boxes: str, output_dir: str) -> measuring.Work:
    """The stages of ours, one after the other over all images."""
    from hrnet_tf import visualization
    from hrnet_tf.data.files import media
    from hrnet_tf.data.files.person_boxes import PersonBoxes
    from hrnet_tf.serving.predictor import BATCH_SIZE, Boxes
    from hrnet_tf.serving.predictors import load_predictor

    predictor = load_predictor(model)
    people = PersonBoxes(boxes, 1)
    paths = list(media.find_images(image_dir))
    given = [Boxes(*people.of_image(os.path.basename(path))) for path in paths]
    outputs = [os.path.join(f"{output_dir}_stages", os.path.basename(p)) for p in paths]
    os.makedirs(f"{output_dir}_stages")

    def work() -> dict[str, float]:
        clock = _Clock(len(paths))
        images = [media.read_image(path) for path in paths]
        clock.stop("read")
        size = BATCH_SIZE if predictor.batches_any_sizes else 1
        predictions = [
            prediction
            for start in range(0, len(images), size)
            for prediction in predictor.predict_batch(
                images[start : start + size], given[start : start + size]
            )
        ]
        clock.stop("crop, network, decode")
        for prediction in predictions:
            prediction.rows()
        clock.stop("rows")
        pictures = [prediction.picture() for prediction in predictions]
        clock.stop("draw")
        for output, picture in zip(outputs, pictures, strict=True):
            visualization.write_image(output, picture)
        clock.stop("write")
        return clock.told

    return work


class _Clock:
    """Milliseconds of CPU between stops, for each of some images."""

    def __init__(self, count: int):
        self.told: dict[str, float] = {}
        self._count = count
        self._last = measuring.cpu_seconds()

    def stop(self, name: str) -> None:
        now = measuring.cpu_seconds()
        self.told[name] = 1e3 * (now - self._last) / self._count
        self._last = now


def loop(model: str, image_dir: str, boxes: str, output_dir: str) -> measuring.Work:
    """What one would write."""
    from hrnet_tf.data.vocabularies.skeletons import load_skeleton

    limbs = load_skeleton("coco17").limbs
    run, size = _tflite(model) if model.endswith(".tflite") else _saved_model(model)
    with open(boxes, encoding="utf-8") as file:
        content = json.load(file)
    people: dict[int, list[list[float]]] = {}
    for person in content["annotations"]:
        people.setdefault(person["image_id"], []).append(person["bbox"])
    output_dir = f"{output_dir}_loop"

    def work() -> None:
        os.makedirs(output_dir, exist_ok=True)
        results = []
        for image in content["images"]:
            picture = cv2.imread(os.path.join(image_dir, image["file_name"]))
            found = _predict(run, size, picture, people[image["id"]])
            for keypoints in found:
                score = float(keypoints[:, 2].mean())
                results.append(
                    {
                        "image_id": image["id"],
                        "category_id": 1,
                        "keypoints": keypoints.ravel().tolist(),
                        "score": score,
                    }
                )
                _draw(picture, keypoints, limbs)
            for x, y, width, height in np.array(people[image["id"]], int):
                cv2.rectangle(picture, (x, y), (x + width, y + height), (0, 255, 0), 2)
            cv2.imwrite(os.path.join(output_dir, image["file_name"]), picture)
        with open(os.path.join(output_dir, "results.json"), "w") as file:
            json.dump(results, file)

    return work


def _saved_model(path: str) -> tuple[Any, tuple[int, int]]:
    import tensorflow as tf

    model = tf.saved_model.load(path)
    signature = model.signatures["crops"]
    _, height, width, _ = signature.structured_input_signature[1]["crops"].shape

    def run(crops: np.ndarray) -> np.ndarray:
        assert model  # Without it the signature loses its constants.
        return signature(crops=tf.constant(crops))["keypoints"].numpy()

    return run, (height, width)


def _tflite(path: str) -> tuple[Any, tuple[int, int]]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=measuring.num_cores())
    interpreter.allocate_tensors()
    signature = interpreter.get_signature_runner()
    _, height, width, _ = signature.get_input_details()["image"]["shape"]

    def run(crops: np.ndarray) -> np.ndarray:
        found = [signature(image=crop[np.newaxis])["keypoints"][0] for crop in crops]
        return np.stack(found) * [width, height, 1]

    return run, (height, width)


def _predict(
    run: Any, size: tuple[int, int], picture: np.ndarray, boxes: list[list[float]]
) -> np.ndarray:
    image = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    height, width = size
    matrices = [_crop_to_image(box, size) for box in boxes]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crops = [cv2.warpAffine(image, m, (width, height), flags=flags) for m in matrices]
    found = run(np.stack(crops))
    for keypoints, matrix in zip(found, matrices, strict=True):
        keypoints[:, :2] = keypoints[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    return found


def _crop_to_image(box: list[float], size: tuple[int, int]) -> np.ndarray:
    x, y, width, height = box
    scale = 1.25 * max(width / size[1], height / size[0])
    center = np.array([x + width / 2, y + height / 2])
    offset = center - scale * np.array(size[::-1]) / 2
    return np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])


def _draw(picture: np.ndarray, keypoints: np.ndarray, limbs: Any) -> None:
    points = keypoints[:, :2].round().astype(int)
    seen = keypoints[:, 2] > 0.2
    for first, second in limbs:
        if seen[first] and seen[second]:
            cv2.line(
                picture, points[first], points[second], (0, 128, 255), 2, cv2.LINE_AA
            )
    for point in points[seen]:
        cv2.circle(picture, point, 3, (255, 128, 0), -1, cv2.LINE_AA)


if __name__ == "__main__":
    kinds = {"export": exported.export, "ours": ours, "loop": loop, "stages": stages}
    measuring.start(main, kinds)
