r"""Reading people: one record per image against one record per person.

    python benchmarks/pose_input.py --image_dir=data/coco/val2017 \
        --annotations=data/coco/annotations/person_keypoints_val2017.json

Both readers run the same training pipeline on different records, so the ratio shows
what decoding every image only once is worth on the given data: the more people an image
holds, the more. Reads the data repeatedly, alternating between the two, and prints the
median rate of each and their ratio.
"""

import argparse
import copy
import json
import os
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from hrnet_tf.configs import pose as pose_config
from hrnet_tf.data.converters import coco_pose
from hrnet_tf.data.inputs import pose as pose_input
from hrnet_tf.data.vocabularies import skeletons


def main() -> None:
    """Writes both kinds of records, reads them and prints the rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--annotations", required=True)
    parser.add_argument("--image_dir", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--crops_per_round", type=int, default=1024)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        per_image = os.path.join(folder, "per_image")
        per_person = os.path.join(folder, "per_person")
        split = os.path.join(folder, "split.json")
        split_people(arguments.annotations, split)
        skeleton = skeletons.load_skeleton("coco17")
        for annotations, prefix in (
            (arguments.annotations, per_image),
            (split, per_person),
        ):
            coco_pose.convert(arguments.image_dir, annotations, prefix, skeleton)
        rates: dict[str, list[float]] = {per_image: [], per_person: []}
        for _ in range(arguments.rounds):
            for prefix, measured in rates.items():
                measured.append(crops_per_second(prefix, arguments.crops_per_round))
    medians = [statistics.median(measured) for measured in rates.values()]
    print(f"one record per image:  {medians[0]:.1f} crops/s")
    print(f"one record per person: {medians[1]:.1f} crops/s")
    print(f"ratio: {medians[0] / medians[1]:.2f}")


def split_people(annotations: str, output: str) -> None:
    """Writes the annotations with a copy of the image entry for every person."""
    with open(annotations) as file:
        dataset = json.load(file)
    images = {image["id"]: image for image in dataset["images"]}
    dataset["images"] = []
    people = []
    for number, annotation in enumerate(dataset["annotations"], start=1):
        if not any(annotation["keypoints"][2::3]):
            continue
        dataset["images"].append({**images[annotation["image_id"]], "id": number})
        people.append({**copy.copy(annotation), "image_id": number})
    dataset["annotations"] = people
    with open(output, "w") as file:
        json.dump(dataset, file)


def crops_per_second(prefix: str, num_crops: int, batch_size: int = 32) -> float:
    """Rate of the training pipeline at 256x192 on its own, after the first batch."""
    data = pose_config.PoseData(
        input_path=f"{prefix}-*",
        is_training=True,
        global_batch_size=batch_size,
        shuffle_buffer_size=64,
        crop_shuffle_buffer_size=64,
    )
    reader = pose_input.PoseInput(
        data, pose_config.Codec(), (256, 192), skeletons.load_skeleton("coco17")
    )
    batches = iter(reader.dataset())
    next(batches)
    start = time.perf_counter()
    for _ in range(num_crops // batch_size):
        next(batches)
    return num_crops / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
