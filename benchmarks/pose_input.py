r"""Training input of pose: our pipeline beside a loader in the official style.

    python benchmarks/pose_input.py --cores=1

Both give shuffled batches of 32 people at 256x192 with the official augmentation. Ours
reads the records of one annotation file, the official style
(benchmarks/official_loader.py) its images, by torch's DataLoader if torch is installed
and by a plain loop if not. The official loader normalises images and draws target
heatmaps, which our training step does, on the accelerator if there is one: ours is
measured without that, and with it on the same cores. Pictures are generated, at COCO's
size and weight; images and annotations of your own can be given:

    python benchmarks/pose_input.py --image_dir=data/coco/val2017 \
        --annotations=data/coco/annotations/person_keypoints_val2017.json

A second table has the stages of ours, in milliseconds of CPU for each crop, beside what
OpenCV takes for two of them.
"""

import argparse
import functools
import glob
import importlib.util
import itertools
import math
import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import cv2
import flag_values
import measuring
import numpy as np
import photographs

OURS, TENSORS, OFFICIAL = "hrnet_tf", "hrnet_tf with targets", "official style"
CROP_SIZE = (256, 192)
BATCH_SIZE = 32


def main() -> None:
    """Writes data, lets both read it and prints two tables."""
    parser = flag_values.parser(__doc__, rounds=5)
    parser.add_argument(
        "--annotations",
        type=flag_values.existing,
        help="COCO keypoints, instead of generated ones",
    )
    parser.add_argument("--image_dir", type=flag_values.existing, help="their images")
    parser.add_argument(
        "--people_per_image",
        type=flag_values.averages,
        default=[1.08, 2.65],
        help="on average, in generated images; the second is COCO's",
    )
    parser.add_argument(
        "--num_images", type=flag_values.count, default=256, help="to generate"
    )
    parser.add_argument(
        "--workers", type=flag_values.count, help="of the DataLoader; one for a core"
    )
    parser.add_argument(
        "--crops",
        type=whole_batches,
        default=1024,
        help=f"of a round, rounded up to batches of {BATCH_SIZE}",
    )
    parser.add_argument(
        "--crop_with_tensorflow",
        action="store_true",
        help="train_data.crop_with_opencv=false",
    )
    arguments = parser.parse_args()
    if bool(arguments.annotations) != bool(arguments.image_dir):
        parser.error("--annotations and --image_dir go together.")
    measuring.pin(arguments.cores)
    if importlib.util.find_spec("torch") is None:
        print(
            f"{measuring.LEFT_OUT}: torch's DataLoader, since torch is not installed; "
            "the official style is a loop on one core.",
            file=sys.stderr,
        )
    rows, stages, summary = [], [], []
    densities = arguments.people_per_image
    for density in ["given"] if arguments.annotations else densities:
        with tempfile.TemporaryDirectory() as folder:
            image_dir, path = (
                (arguments.image_dir, arguments.annotations)
                if arguments.annotations
                else photographs.write_people(folder, arguments.num_images, density)
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
    summary = [line for row in rows for line in summed_up(row)]
    measuring.tell("Training input, 256x192, batch 32", rows, settings, summary)
    print(f"Milliseconds of CPU for each crop\n\n{measuring.markdown(stages)}")


def whole_batches(text: str) -> int:
    """A flag's value that is a number, made one of whole batches."""
    return BATCH_SIZE * math.ceil(flag_values.count(text) / BATCH_SIZE)


def race(data: dict[str, str], arguments: argparse.Namespace) -> measuring.Rounds:
    """Lets both loaders, and the stages of ours, take turns."""
    given = {"data": data, "crops": arguments.crops}
    own = {**given, "opencv": not arguments.crop_with_tensorflow}
    workers = arguments.workers or measuring.num_cores()
    return measuring.take_turns(
        __file__,
        {
            OURS: measuring.Contender("ours", own),
            TENSORS: measuring.Contender("ours", {**own, "targets": True}),
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
            for name in (OURS, TENSORS, OFFICIAL)
        },
        "times as fast": rounds.times_as_fast(OURS, OFFICIAL),
        "with targets": rounds.times_as_fast(TENSORS, OFFICIAL),
        "our CPU ms/crop": 1e3 * rounds.median(OURS, "cpu_seconds") / arguments.crops,
        "our peak, MiB": rounds.peak_mib(OURS),
    }


def staged(rounds: measuring.Rounds, arguments: argparse.Namespace) -> dict[str, Any]:
    """A row of the second table: what no stage accounts for is the rest."""
    whole = 1e3 * rounds.median(OURS, "cpu_seconds") / arguments.crops
    stages = {name: rounds.median("stages", name) for name in STAGES}
    rest = whole - sum(stages.values())
    others = {name: rounds.median("stages", name) for name in ON_DEVICE + OPENCV}
    return {"whole": whole, **stages, "rest": rest, **others}


def summed_up(row: dict[str, Any]) -> list[dict[str, Any]]:
    """A row's lines in the table of all benchmarks."""
    people, cores = row["people per image"], measuring.cores(row["cores"])
    peer = f"{OFFICIAL} {row[f'{OFFICIAL}, people/s']:.0f} people/s"
    return [
        {
            "work": f"training input{how}, {people} people per image, {cores}",
            "ours": f"{row[f'{name}, people/s']:.0f} people/s",
            "peer": peer,
            "times as fast": row[ratio],
        }
        for how, name, ratio in (
            ("", OURS, "times as fast"),
            (" with targets", TENSORS, "with targets"),
        )
    ]


# ---- contenders ----


def ours(
    data: dict[str, str], crops: int, opencv: bool = False, targets: bool = False
) -> measuring.Work:
    """Our training pipeline; a round takes some batches from it."""
    batches = iter(pipeline(data, opencv).dataset())
    return functools.partial(
        take, map(_on_device(), batches) if targets else batches, crops
    )


def _on_device() -> Callable[[Any], Any]:
    """What the training step makes of a batch, before the network."""
    import tensorflow as tf

    @tf.function
    def on_device(batch: Any) -> Any:
        return _normalize(*batch), _render(*batch)

    return on_device


def official(data: dict[str, str], crops: int, workers: int) -> measuring.Work:
    """The same of the official style."""
    import official_loader

    people = official_loader.OfficialStyle(data["image_dir"], data["annotations"])
    batches = official_loader.batches(people, BATCH_SIZE, workers)
    return functools.partial(take, batches, crops)


def take(batches: Any, crops: int) -> None:
    """Waits for `crops` crops of an iterator over batches."""
    for _ in itertools.islice(batches, crops // BATCH_SIZE):
        pass


def pipeline(data: dict[str, str], opencv: bool = False, **more: Any) -> Any:
    """Our `PoseInput` of these people, whose records it writes if there are none.

    `more` are fields of its configuration.
    """
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
            shuffle_buffer_size=64,
            crop_shuffle_buffer_size=64,
            crop_with_opencv=opencv,
            **more,
        ),
        pose_config.Codec(),
        CROP_SIZE,
        skeleton,
    )


# ---- stages ----

STAGES = ("record", "JPEG", "augmentation", "warp")
ON_DEVICE = ("normalisation", "targets")
OPENCV = ("OpenCV's JPEG", "OpenCV's warp")
# So often each stage goes over its data: starting a dataset takes milliseconds.
_REPEATS = 8


def stages(data: dict[str, str]) -> measuring.Work:
    """Every stage of our pipeline on its own, on what the stages before it made."""
    measuring.pin(1)
    cv2.setNumThreads(1)
    import tensorflow as tf

    from hrnet_tf.data.inputs.draws import with_seeds

    reader = pipeline(data)
    records = tf.data.TFRecordDataset(glob.glob(f"{data['records']}-*")).take(64)
    images = records.map(reader.decode).filter(_has_people).cache()
    decoded = with_seeds(images).map(_decode).cache()
    batches = reader.dataset().take(2).cache()
    timed = {
        "record": records.cache().map(reader.decode),
        "JPEG": images.map(_pixels),
        "augmentation": decoded.map(_augment),
        "warp": decoded.map(_warp),
        "normalisation": batches.map(_normalize),
        "targets": batches.map(_render),
    }
    encoded = [np.frombuffer(r["encoded"].numpy(), np.uint8) for r in images]
    found = [(r["image"].numpy(), r["matrices"].numpy()) for r in decoded]
    count = sum(len(matrices) for _, matrices in found)
    counts = {**dict.fromkeys(timed, count), **dict.fromkeys(ON_DEVICE, 2 * BATCH_SIZE)}

    def work() -> dict[str, float]:
        return {
            **{name: _cpu_ms(_exhaust, timed[name], counts[name]) for name in timed},
            "OpenCV's JPEG": _cpu_ms(_opencv_jpeg, encoded, count),
            "OpenCV's warp": _cpu_ms(_opencv_warp, found, count),
        }

    return work


def _has_people(record: Any) -> Any:
    import tensorflow as tf

    return tf.size(record["boxes"]) > 0


def _decode(record: Any) -> Any:
    """What the stages of an image's people start from."""
    from hrnet_tf.ops import affine

    center, size = affine.box_to_center_size(record["boxes"], 0.75)
    people = {"keypoints": record["keypoints"], "center": center, "size": size}
    people["seed"] = record["seed"]
    matrices = _augment(people)[1]
    return {**people, "image": _pixels(record), "matrices": matrices}


def _pixels(record: Any) -> Any:
    from hrnet_tf.ops.images import decode_image

    return decode_image(record["encoded"])


def _augment(people: Any) -> Any:
    from hrnet_tf.configs import pose as pose_config
    from hrnet_tf.data.inputs.draws import Draws
    from hrnet_tf.data.inputs.pose_augmentation import augment_people
    from hrnet_tf.data.vocabularies import skeletons

    return augment_people(
        people["keypoints"],
        people["center"],
        people["size"],
        pose_config.Augmentation(),
        skeletons.load_skeleton("coco17"),
        CROP_SIZE,
        udp=False,
        draws=Draws(people["seed"]),
    )


def _warp(people: Any) -> Any:
    from hrnet_tf.ops import affine

    return affine.warp_crops(people["image"], people["matrices"], CROP_SIZE)


def _normalize(images: Any, labels: Any) -> Any:
    from hrnet_tf.data.inputs.normalization import normalize_image

    del labels
    return normalize_image(images)


def _render(images: Any, labels: Any) -> Any:
    from hrnet_tf.configs import pose as pose_config
    from hrnet_tf.data.inputs.pose import render_targets

    del images
    return render_targets(labels, pose_config.Codec(), CROP_SIZE)


def _opencv_jpeg(encoded: list[np.ndarray]) -> None:
    for image in encoded:
        cv2.cvtColor(cv2.imdecode(image, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def _opencv_warp(found: list[tuple[np.ndarray, np.ndarray]]) -> None:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for image, matrices in found:
        for matrix in matrices:
            cv2.warpAffine(image, matrix, CROP_SIZE[::-1], flags=flags)


def _exhaust(dataset: Any) -> None:
    # Without a step in Python for each element.
    dataset.repeat(_REPEATS).reduce(0, _count).numpy()


def _count(count: int, *_: Any) -> int:
    return count + 1


def _cpu_ms(work: Callable[[Any], None], data: Any, count: int) -> float:
    repeats = _REPEATS if work is _exhaust else 1
    begin = measuring.cpu_seconds()
    work(data)
    return 1e3 * (measuring.cpu_seconds() - begin) / (count * repeats)


if __name__ == "__main__":
    measuring.start(main, {"ours": ours, "official": official, "stages": stages})
