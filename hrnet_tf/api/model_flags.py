"""The flags of commands that load a model: which one it is, and how it is read.

It imports no TensorFlow: commands define their flags before they have work for it.
"""

from typing import Any

from absl import flags

from hrnet_tf.command_line import Flags, UsageError

# Flags that are defined here belong to the command, not to this module.
flags.disclaim_key_flags()


def define_loading(define: Flags) -> None:
    """The flags of commands that load a model of any form, as `hrnet_tf.load` does."""
    define.string(
        "model",
        "A SavedModel's directory or a .tflite file, the directory of a run, a "
        "checkpoint, or official weights.",
        required=True,
    )
    define.string(
        "skeleton",
        "The keypoints of official pose weights: a name or a YAML file. By default "
        "COCO's for 17, MPII's for 16.",
    )
    define.string(
        "label_set",
        "The classes of official segmentation weights, likewise. By default those of "
        "the published data set with as many.",
    )
    define.list(
        "input_size",
        "HEIGHT,WIDTH of the crops that official pose weights are for. By default as "
        "the file's name says, or 256,192.",
    )
    define.boolean(
        "flip_test",
        "For models that are not exported: whether to average with the mirrored input.",
    )
    define.integer(
        "num_threads",
        "CPU threads for a .tflite file. If not given, as many as there are cores; for "
        "folders one less, which reads and writes.",
        least=1,
    )
    define_unverified(define)


def loading(values: flags.FlagValues) -> dict[str, Any]:
    """What these flags say, as arguments of `hrnet_tf.load`."""
    return {
        "skeleton": values.skeleton,
        "label_set": values.label_set,
        "input_size": size_of(values),
        "flip_test": values.flip_test,
        "num_threads": values.num_threads,
        "verify": not values.unverified,
    }


def loading_flags(values: flags.FlagValues) -> list[str]:
    """The flags that say what a model is, as they are typed for another command."""
    names = ("model", "unverified", "skeleton", "label_set", "input_size", "flip_test")
    return [values[name].serialize() for name in names if values[name].present]


def size_of(values: flags.FlagValues) -> tuple[int, int] | None:
    """The (height, width) that --input_size gives, if any. Raises `UsageError`."""
    if values.input_size is None:
        return None
    try:
        height, width = map(int, values.input_size)
        if min(height, width) < 1:
            raise ValueError
    except ValueError:
        raise UsageError(
            f"--input_size={','.join(values.input_size)} must be HEIGHT,WIDTH in "
            "pixels."
        ) from None
    return height, width


def define_unverified(define: Flags) -> None:
    """The flag of commands that load exported models."""
    define.boolean(
        "unverified",
        "Take a model whose files are not as they were exported: edited, damaged, or "
        "of another program, if it has an hrnet_tf.json. It is not checked.",
    )


def check_num_threads(values: flags.FlagValues, *models: str | None) -> None:
    """Refuses --num_threads if none of the models is a .tflite file.

    Raises:
        UsageError: If so.
    """
    is_tflite = any(model.endswith(".tflite") for model in models if model)
    if values.num_threads and not is_tflite:
        raise UsageError("--num_threads goes with .tflite files; others use all cores.")
