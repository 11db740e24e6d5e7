"""Batch prediction for benchmarks/scaling.py: worker processes of Beam on this machine.

Workers start with every pipeline and import TensorFlow, load the model and trace it,
which takes as long as hundreds of images. So each round is of two pipelines, one of a
few images and one of all of them: what the second takes longer is for the images that
it has more.
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import measuring

# A block for each of several workers.
FEW = 64


def predict(
    data: dict[str, str], model: str, processes: int, output_dir: str
) -> measuring.Work:
    """What `python -m hrnet_tf.batch` does, with so many workers on as many cores."""
    measuring.pin(processes)
    files, run = pipeline(
        data,
        model,
        os.path.join(output_dir, f"of_{processes}"),
        "--direct_running_mode=multi_processing",
        f"--direct_num_workers={processes}",
    )

    def measured(some: Sequence[Any]) -> tuple[float, float]:
        cpu, begin = measuring.group_cpu_seconds(), time.perf_counter()
        run(some)
        seconds = time.perf_counter() - begin
        return seconds, measuring.group_cpu_seconds() - cpu

    def work() -> dict[str, float]:
        few = measured(files[:FEW])
        if not calls:  # To warm up, the few are enough.
            calls.append(True)
            return {}
        every = measured(files)
        seconds, cpu = (more - less for more, less in zip(every, few, strict=True))
        return {"seconds": seconds, "group_cpu_seconds": cpu}

    calls: list[bool] = []
    return work


def pipeline(
    data: dict[str, str], model: str, prefix: str, *options: str
) -> tuple[list[Any], Callable[[Sequence[Any]], None]]:
    """The images, and what predicts some of them on the DirectRunner."""
    from hrnet_tf.api.chosen_model import ChosenModel
    from hrnet_tf.beam import BeamOptions
    from hrnet_tf.data.files.person_boxes import PersonBoxes
    from hrnet_tf.pipelines import found_images, prediction
    from hrnet_tf.serving.image_results import Rules

    chosen = ChosenModel(model, None, True, {"category_id": 1}, {}, {})
    boxes = PersonBoxes(data["annotations"], 1)
    folder = os.path.dirname(prefix)
    files = found_images.find_images([data["image_dir"]], None, folder)

    def run(some: Sequence[Any]) -> None:
        counts = prediction.predict(
            chosen,
            some,
            boxes,
            Rules(pictures=False),
            prediction.Output(prefix),
            BeamOptions("DirectRunner", options),
        )
        assert counts.images == len(some)

    return files, run
