"""A reader of the documents: the files that they are said to have, and their patience.

Pages name folders and files of the reader's: `my`, `photos`, `boxes.json`. They are
made of drawn people here. Trainings on them take a few steps: see `shortened`.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

_STEPS = {
    "train_steps": 4,
    "steps_per_loop": 2,
    "summary_interval": 2,
    "checkpoint_interval": 2,
    "validation_interval": 2,
}
_WARMUP = {"linear": {"warmup_steps": 1}}


def _schedule(name: str) -> dict:
    rate = {name: {"decay_steps": 4}}
    return {**_STEPS, "optimizer_config": {"learning_rate": rate, "warmup": _WARMUP}}


# What makes the pages' trainings short, by their experiments.
SHORT = {
    "hrnet_pose_coco": {"trainer": _schedule("cosine")},
    "hrnet_seg_custom": {"trainer": _schedule("polynomial")},
    "hrnet_maskrcnn_coco": {"trainer": _schedule("cosine")},
}
# Four steps have no AP that could be lost.
EXPORT = ["--max_loss=1", "--verification_images=2"]


def shortened(words: Sequence[str], smaller: dict | None = None) -> list[str]:
    """A command of the pages that trains on the reader's files, with few steps.

    Any other command comes back as it is, but an export of such a training accepts
    any loss. `smaller` holds more overrides by experiment.
    """
    words = list(words)
    if "--mode=eval" in words or not any("my/" in w or "/mine" in w for w in words):
        return words
    if "hrnet_tf.export" in words:
        return [*words, *EXPORT]
    if "hrnet_tf.train" in words:
        (experiment,) = (
            word.partition("=")[2] for word in words if word.startswith("--experiment=")
        )
        for more in (SHORT, smaller or {}):
            if experiment in more:
                words.append(f"--params_override={json.dumps(more[experiment])}")
    return words


def is_fine(words: Sequence[str], code: int) -> bool:
    """Whether a command ended as a reader expects.

    Drawn people may look doubtful, which `--strict` tells by its exit code.
    """
    return code == 0 or (code == 1 and "--strict" in words)


def draw(folder: Path) -> None:
    """Puts drawn people in the reader's own places below a folder."""
    from hrnet_tf.data.synthetic import dataset as synthetic
    from hrnet_tf.data.vocabularies.label_sets import load_label_set

    drawn, mine = folder / "drawn", folder / "my"
    synthetic.draw_dataset(str(drawn), 20, 16, image_size=96, max_people=2)
    mine.mkdir()
    for split in synthetic.SPLITS:
        (mine / split).symlink_to(drawn / "images" / split)
    for name, of_drawn in (
        ("images", "images"),
        ("labels", "parts"),
        ("annotations", "annotations"),
    ):
        (mine / name).symlink_to(drawn / of_drawn)
    for name in ("my/people.json", "boxes.json"):
        shutil.copy(drawn / "annotations/person_keypoints_val.json", folder / name)
    names = list(load_label_set("synthetic_parts").classes)
    classes = {"classes": names, "flip_pairs": "auto"}
    (mine / "classes.yaml").write_text(yaml.safe_dump(classes))
    (folder / "photos").symlink_to(mine / "val")
    photo = next(iter(sorted((mine / "val").glob("*.jpg"))))
    shutil.copy(photo, folder / "photo.jpg")
    _film(folder / "me.mp4")


def _film(path: Path) -> None:
    import cv2
    import numpy as np

    film = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 5, (96, 96))
    for shade in range(0, 250, 50):
        film.write(np.full((96, 96, 3), shade, np.uint8))
    film.release()


def get_ready(folder: Path, page: str) -> None:
    """What a page expects of its reader besides, and the pages before have not made."""
    images = "my/val" if "inspect" in page else "drawn/images"
    _link(folder / "my/images", folder / images)
    # Readers of one page have no records of another kind under the same name.
    records = folder / "my" / _RECORDS.get(page, "records_of_people")
    records.mkdir(exist_ok=True)
    _link(folder / "my/records", records)
    for step in _BEFORE.get(page, ()):
        step(folder)


def _link(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _records(folder: Path) -> None:
    from hrnet_tf.data import coco_pose

    annotations = folder / "my/annotations/person_keypoints_train.json"
    flags = _flags(
        image_dir=folder / "my/train",
        annotations=annotations,
        output_prefix=folder / "records/train",
    )
    assert coco_pose.main(["convert", "--overwrite", *flags]) == 0


def _names_of_models(folder: Path) -> None:
    (pose,) = folder.glob("exported/pose_*_int8.tflite")
    (segmentation,) = folder.glob("exported_segmentation/*.tflite")
    shutil.copy(pose, folder / "pose.tflite")
    shutil.copy(segmentation, folder / "segmentation.tflite")


def _second_annotator(folder: Path) -> None:
    """Writes anna.json and ben.json, who differ by some pixels."""
    import numpy as np

    annotations = json.loads((folder / "boxes.json").read_text())
    (folder / "anna.json").write_text(json.dumps(annotations))
    random = np.random.default_rng(1)
    for person in annotations["annotations"]:
        points = np.reshape(np.array(person["keypoints"], float), (-1, 3))
        points[:, :2] += random.normal(0, 1, points[:, :2].shape) * (points[:, 2:] > 0)
        person["keypoints"] = points.round(2).ravel().tolist()
    (folder / "ben.json").write_text(json.dumps(annotations))


def _official_weights(folder: Path) -> None:
    """Writes a .pth with the official names and shapes, and a skeleton of one's own.

    PyTorch, which writes it, is what the page's first command installs as well.
    """
    skeleton = folder / "hrnet_tf/data/vocabularies/skeleton_files/coco17.yaml"
    shutil.copy(skeleton, folder / "my/skeleton.yaml")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "-e", ".[convert]"]
    subprocess.run(pip, cwd=folder, check=True)
    import numpy as np
    import torch

    from hrnet_tf.configs import backbones
    from hrnet_tf.modeling.hrnet import HRNet
    from hrnet_tf.weights import official_layout

    body = HRNet(backbones.VARIANTS["w32"], multi_scale_output=False)
    shapes = {
        name: official_layout.official_shape(variable)
        for name, variable in official_layout.backbone_variables(body)
    }
    shapes |= {"final_layer.weight": (17, 32, 1, 1), "final_layer.bias": (17,)}
    random = np.random.default_rng(1)
    tensors = {}
    for name, shape in shapes.items():
        # So that numbers stay finite: kernels keep the size of what they take.
        drawn = random.uniform(0.5, 1, shape)
        if len(shape) == 4:
            drawn = random.normal(0, np.prod(shape[1:]) ** -0.5, shape)
        tensors[name] = torch.from_numpy(drawn.astype(np.float32))
    torch.save(tensors, folder / "pose_hrnet_w32_256x192.pth")


def _flags(**values: object) -> Iterator[str]:
    return (f"--{name}={value}" for name, value in values.items())


_RECORDS = {
    "docs/segmentation.md": "records_of_classes",
    "docs/detection.md": "records_of_objects",
}
_BEFORE = {
    "docs/inspect.md": (_records,),
    "docs/keypoints.md": (_second_annotator,),
    "docs/predict.md": (_names_of_models,),
    "docs/weights.md": (_official_weights,),
}

if __name__ == "__main__":  # python tests/support/reader.py [PAGE], in their folder
    if sys.argv[1:]:
        get_ready(Path.cwd(), sys.argv[1])
    else:
        draw(Path.cwd())
