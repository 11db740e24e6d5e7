"""Scores of segmentations from counts of pixels: IoU per class, their mean, accuracy.

Keeps one matrix of counts, however many images there are.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

METRICS = ("mean_iou", "pixel_accuracy", "mean_class_accuracy")

# With more classes, numbers do not fit into the cells of the picture.
_MOST_NUMBERED = 24


class SegmentationEvaluator:
    """Adds up confusion matrices; official lib/utils/utils.py, `get_confusion_matrix`.

    A class that neither occurs nor is predicted has no IoU, and the mean leaves it
    out. The official code counts it as 0, which makes no difference on its data sets.
    """

    def __init__(self, classes: Sequence[str]):
        """Starts without counts; `classes` are the names of all classes, in order."""
        self._classes = tuple(classes)
        self.reset()

    def reset(self) -> None:
        """Forgets all counts."""
        count = len(self._classes)
        self.confusion = np.zeros((count, count), np.int64)

    def update(self, confusion: np.ndarray) -> None:
        """Adds counts [C, C] of pixels: labelled (rows) and predicted (columns)."""
        self.confusion += confusion

    def evaluate(self) -> dict[str, float]:
        """Returns `METRICS` and, where defined, `iou/CLASS` and `accuracy/CLASS`.

        Everything is a share of 1. Without a labelled pixel, the metrics are 0. For
        every other class that has none there is `never_labelled/CLASS`, which is 1.
        """
        correct = np.diag(self.confusion).astype(np.float64)
        labelled = self.confusion.sum(axis=1)
        union = labelled + self.confusion.sum(axis=0) - correct
        occurring, labelled_somewhere = union > 0, labelled > 0
        iou = correct / np.maximum(union, 1)
        accuracy = correct / np.maximum(labelled, 1)
        metrics = {
            "mean_iou": float(iou[occurring].mean()) if occurring.any() else 0.0,
            "pixel_accuracy": float(correct.sum() / max(labelled.sum(), 1)),
            "mean_class_accuracy": (
                float(accuracy[labelled_somewhere].mean())
                if labelled_somewhere.any()
                else 0.0
            ),
        }
        for name, index in zip(self._classes, range(len(iou)), strict=True):
            if occurring[index]:
                metrics[f"iou/{name}"] = float(iou[index])
            if labelled_somewhere[index]:
                metrics[f"accuracy/{name}"] = float(accuracy[index])
            elif labelled_somewhere.any():
                metrics[f"never_labelled/{name}"] = 1.0
        return metrics

    def picture(self) -> np.ndarray:
        """Draws each labelled class's pixels by predicted class, uint8 [H, W, 3]."""
        count = len(self._classes)
        labelled = self.confusion.sum(axis=1, keepdims=True)
        shares = 100 * self.confusion / np.maximum(labelled, 1)
        side = max(5.0, 0.36 * count + 2)
        figure = Figure(figsize=(side, side), dpi=100, layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
        axes.set_xticks(range(count), self._classes, rotation=90)
        axes.set_yticks(range(count), self._classes)
        axes.set_xlabel("predicted")
        axes.set_ylabel("labelled")
        axes.set_title("% of a class's labelled pixels")
        if count <= _MOST_NUMBERED:
            for row, column in np.argwhere(shares >= 0.5):
                share = shares[row, column]
                color = "white" if share > 50 else "black"
                axes.text(
                    column,
                    row,
                    f"{share:.0f}",
                    ha="center",
                    va="center",
                    color=color,
                    fontsize=7,
                )
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def format_table(
    metrics: Mapping[str, float], classes: Sequence[str], protocol: str
) -> str:
    """Lays out the scores of all classes, in per cent, as text."""
    width = max(len(name) for name in (*classes, "mean"))

    def percent(name: str) -> str:
        return f"{100 * metrics[name]:6.2f}" if name in metrics else f"{'–':>6}"

    lines = [f"Segmentation, {protocol}", f"{'class':<{width}}     IoU  accuracy"]
    lines += [
        f"{name:<{width}}  {percent(f'iou/{name}')}    {percent(f'accuracy/{name}')}"
        for name in classes
    ]
    if missing := [name for name in classes if f"accuracy/{name}" not in metrics]:
        lines.append(
            f"No pixel is labelled {', '.join(missing)}. The mean IoU leaves such a "
            "class out, or counts it as 0 if it is predicted."
        )
    lines += [
        f"{'mean':<{width}}  {percent('mean_iou')}    {percent('mean_class_accuracy')}",
        f"Accuracy of all pixels: {percent('pixel_accuracy').strip()}",
    ]
    return "\n".join(lines)
