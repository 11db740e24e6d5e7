r"""Training input of pose: our pipeline beside a loader in the official style.

    python benchmarks/pose_input.py --cores=1

Both give shuffled batches of 32 people at 256x192 with the official augmentation and
target heatmaps: ours reads the records of one annotation file, the official style
(benchmarks/official_loader.py) its images, by torch's DataLoader if torch is installed
and by a plain loop if not. Pictures are generated, at COCO's size and weight; images
and annotations of your own can be given:

    python benchmarks/pose_input.py --image_dir=data/coco/val2017 \
        --annotations=data/coco/annotations/person_keypoints_val2017.json

A second table has the stages of ours, in milliseconds of CPU for each crop, beside what
OpenCV takes for two of them.
"""

import argparse
import functools
import glob
import itertools
import os
import tempfile
from collections.abc import Callable
from typing import Any

import cv2
import measuring
import numpy as np
import photographs

OURS, OFFICIAL = "hrnet_tf", "official style"
CROP_SIZE = (256, 192)
BATCH_SIZE = 32


def main() -> None:
    """Writes data, lets both read it and prints two tables."""
    parser = measuring.parser(__doc__, rounds=5)
    parser.add_argument(
        "--annotations", help="COCO keypoints, instead of generated ones"
    )
    parser.add_argument("--image_dir", help="their images")
    parser.add_argument(
        "--people_per_image",
        default="1.08,2.65",
        help="on average, in generated images; the second is COCO's",
    )
    parser.add_argument("--num_images", type=int, default=256, help="to generate")
    parser.add_argument("--workers", type=int, help="of the DataLoader; one for a core")
    parser.add_argument("--crops", type=int, default=1024, help="of a round")
    arguments = parser.parse_args()
    if bool(arguments.annotations) != bool(arguments.image_dir):
        parser.error("--annotations and --image_dir go together.")
    measuring.pin(arguments.cores)
    rows, stages, summary = [], [], []
    densities = arguments.people_per_image.split(",")
    for density in ["given"] if arguments.annotations else densities:
        with tempfile.TemporaryDirectory() as folder:
            image_dir, path = (
                (arguments.image_dir, arguments.annotations)
                if arguments.annotations
                else photographs.write_people(
                    folder, arguments.num_images, float(density)
                )
            )
            data = {
                "image_dir": image_dir,
                "annotations": path,
                "records": os.path.join(folder, "records", "train"),
            }
            measured = race(data, arguments)
            rows.append({"people per image": density, **compared(measured, arguments)})
            stages.append({"people per image": density, **staged(measured, arguments)})
    settings = {**vars(arguments), "stages": stages}
    summary = [summed_up(row) for row in rows]
    measuring.tell("Training input, 256x192, batch 32", rows, settings, summary)
    print(f"Milliseconds of CPU for each crop\n\n{measuring.markdown(stages)}")


def race(data: dict[str, str], arguments: argparse.Namespace) -> measuring.Rounds:
    """Lets both loaders, and the stages of ours, take turns."""
    given = {"data": data, "crops": arguments.crops}
    workers = arguments.workers or measuring.num_cores()
    return measuring.take_turns(
        __file__,
        {
            OURS: measuring.Contender("ours", given),
            OFFICIAL: measuring.Contender("official", {**given, "workers": workers}),
            "stages": measuring.Contender("stages", {"data": data}),
        },
        arguments.rounds,
    )


def compared(rounds: measuring.Rounds, arguments: argparse.Namespace) -> dict[str, Any]:
    """A row of the first table."""
    return {
        "cores": measuring.num_cores(),
        **{
            f"{name}, people/s": arguments.crops / rounds.median(name)
            for name in (OURS, OFFICIAL)
        },
        "times as fast": rounds.times_as_fast(OURS, OFFICIAL),
        "our CPU ms/crop": 1e3 * rounds.median(OURS, "cpu_seconds") / arguments.crops,
        "our peak, MiB": rounds.peak_mib(OURS),
    }


def staged(rounds: measuring.Rounds, arguments: argparse.Namespace) -> dict[str, Any]:
    """A row of the second table: what no stage accounts for is the rest."""
    whole = 1e3 * rounds.median(OURS, "cpu_seconds") / arguments.crops
    stages = {name: rounds.median("stages", name) for name in STAGES}
    rest = whole - sum(stages.values())
    peers = {name: rounds.median("stages", name) for name in OPENCV}
    return {"whole": whole, **stages, "rest": rest, **peers}


def summed_up(row: dict[str, Any]) -> dict[str, Any]:
    """A row's line in the table of all benchmarks."""
    people, cores = row["people per image"], row["cores"]
    return {
        "work": f"training input, {people} people per image, {cores} cores",
        "ours": f"{row[f'{OURS}, people/s']:.0f} people/s",
        "peer": f"{OFFICIAL} {row[f'{OFFICIAL}, people/s']:.0f} people/s",
        "times as fast": row["times as fast"],
    }


# ---- contenders ----


def ours(data: dict[str, str], crops: int) -> measuring.Work:
    """Our training pipeline; a round takes some batches from it."""
    return functools.partial(_take, iter(pipeline(data).dataset()), crops)


def official(data: dict[str, str], crops: int, workers: int) -> measuring.Work:
    """The same of the official style."""
    import official_loader

    people = official_loader.OfficialStyle(data["image_dir"], data["annotations"])
    batches = official_loader.batches(people, BATCH_SIZE, workers)
    return functools.partial(_take, batches, crops)


def _take(batches: Any, crops: int) -> None:
    for _ in itertools.islice(batches, crops // BATCH_SIZE):
        pass


def pipeline(data: dict[str, str], buffers: int = 64) -> Any:
    """Our `PoseInput` of these people, whose records it writes if there are none."""
    from hrnet_tf.configs import pose as pose_config
    from hrnet_tf.data.converters import coco_pose
    from hrnet_tf.data.inputs import pose as pose_input
    from hrnet_tf.data.vocabularies import skeletons

    skeleton = skeletons.load_skeleton("coco17")
    if not glob.glob(f"{data['records']}-*"):
        coco_pose.convert(
            data["image_dir"], data["annotations"], data["records"], skeleton
        )
    return pose_input.PoseInput(
        pose_config.PoseData(
            input_path=f"{data['records']}-*",
            is_training=True,
            global_batch_size=BATCH_SIZE,
            shuffle_buffer_size=buffers,
            crop_shuffle_buffer_size=buffers,
        ),
        pose_config.Codec(),
        CROP_SIZE,
        skeleton,
    )


# ---- stages ----

STAGES = ("record", "JPEG", "augmentation", "warp", "normalisation", "targets")
OPENCV = ("OpenCV's JPEG", "OpenCV's warp")
# So often each stage goes over its data: starting a dataset takes milliseconds.
_REPEATS = 8


def stages(data: dict[str, str]) -> measuring.Work:
    """Every stage of our pipeline on its own, on what the stages before it made."""
    measuring.pin(1)
    cv2.setNumThreads(1)
    import tensorflow as tf

    reader = pipeline(data)
    records = tf.data.TFRecordDataset(glob.glob(f"{data['records']}-*")).take(64)
    images = records.map(reader.decode).filter(_has_people)
    images = images.cache()
    people = images.flat_map(_people_of).cache()
    crops = people.map(_warp).cache()
    timed = {
        "record": records.cache().repeat(_REPEATS).map(reader.decode),
        "JPEG": images.repeat(_REPEATS).map(_decode),
        "augmentation": people.repeat(_REPEATS).map(_augment),
        "warp": people.repeat(_REPEATS).map(_warp),
        "normalisation": crops.repeat(_REPEATS).map(_normalize),
        "targets": people.repeat(_REPEATS).map(_targets),
    }
    encoded = [np.frombuffer(r["encoded"].numpy(), np.uint8) for r in images]
    found = [{name: value.numpy() for name, value in p.items()} for p in people]
    count = len(found)

    def work() -> dict[str, float]:
        return {
            **{
                name: _cpu_ms(lambda dataset=dataset: _exhaust(dataset), count)
                / _REPEATS
                for name, dataset in timed.items()
            },
            "OpenCV's JPEG": _cpu_ms(_opencv_jpeg, encoded, count),
            "OpenCV's warp": _cpu_ms(_opencv_warp, found, count),
        }

    return work


def _people_of(record: Any) -> Any:
    """The people of a record, each with the whole image and the map of its crop."""
    import tensorflow as tf

    from hrnet_tf.ops import affine

    image = _decode(record)
    center, size = affine.box_to_center_size(record["boxes"], 0.75)
    people = {"keypoints": record["keypoints"], "center": center, "size": size}

    def with_image(person: Any) -> Any:
        matrix = _augment(person)[1]
        return {**person, "image": image, "matrix": matrix}

    return tf.data.Dataset.from_tensor_slices(people).map(with_image)


def _has_people(record: Any) -> Any:
    import tensorflow as tf

    return tf.size(record["boxes"]) > 0


def _decode(record: Any) -> Any:
    import tensorflow as tf

    return tf.io.decode_image(record["encoded"], channels=3, expand_animations=False)


def _augment(person: Any) -> Any:
    from hrnet_tf.configs import pose as pose_config
    from hrnet_tf.data.inputs.pose_augmentation import augment_person
    from hrnet_tf.data.vocabularies import skeletons

    return augment_person(
        person["keypoints"],
        person["center"],
        person["size"],
        pose_config.Augmentation(),
        skeletons.load_skeleton("coco17"),
        CROP_SIZE,
        udp=False,
    )


def _warp(person: Any) -> Any:
    import tensorflow as tf

    from hrnet_tf.ops import affine

    image = tf.ensure_shape(person["image"], [None, None, 3])
    return tf.cast(
        tf.round(affine.warp_crop(image, person["matrix"], CROP_SIZE)), tf.uint8
    )


def _normalize(crop: Any) -> Any:
    from hrnet_tf.data.inputs.normalization import normalize_image

    return normalize_image(crop)


def _targets(person: Any) -> Any:
    from hrnet_tf.ops import heatmaps

    keypoints = person["keypoints"]
    return heatmaps.encode("msra", keypoints[:, :2], keypoints[:, 2], CROP_SIZE, 2.0)


def _opencv_jpeg(encoded: list[np.ndarray]) -> None:
    for image in encoded:
        cv2.cvtColor(cv2.imdecode(image, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def _opencv_warp(people: list[dict[str, np.ndarray]]) -> None:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for person in people:
        cv2.warpAffine(person["image"], person["matrix"], CROP_SIZE[::-1], flags=flags)


def _exhaust(dataset: Any) -> None:
    # Without a step in Python for each element.
    dataset.reduce(0, _count).numpy()


def _count(count: int, *_: Any) -> int:
    return count + 1


def _cpu_ms(work: Callable[[Any], None], data: Any, count: int) -> float:
    begin = measuring.cpu_seconds()
    work(data)
    return 1e3 * (measuring.cpu_seconds() - begin) / count


if __name__ == "__main__":
    measuring.start(main, {"ours": ours, "official": official, "stages": stages})
