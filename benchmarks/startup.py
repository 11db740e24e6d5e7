"""Start-up: a command's --help and a first prediction, beside TensorFlow's import.

    python benchmarks/startup.py

Every round starts each command anew, so that what is measured is what a user waits
for, with files in the disk cache. CPU seconds are of all threads and processes: more
than the wall's where several cores work. Peers are Python and TensorFlow's import.
"""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import exported
import flag_values
import measuring
import photographs

from hrnet_tf.configs.variants import ALL_VARIANTS

BARE, TENSORFLOW = "python -c pass", "import tensorflow"


def main() -> None:
    """Measures and prints a table."""
    parser = flag_values.parser(__doc__, rounds=5)
    parser.add_argument("--variant", default="w18_small_v1", choices=ALL_VARIANTS)
    parser.add_argument("--size", type=flag_values.size, default=[128, 96])
    arguments = parser.parse_args()
    measuring.pin(arguments.cores)
    with tempfile.TemporaryDirectory() as folder:
        exported.write_once(
            __file__, folder, arguments.variant, arguments.size, ["saved_model", "none"]
        )
        photographs.write_pictures(os.path.join(folder, "images"), 1)
        commands = _commands(folder)
        rounds = measuring.take_turns(
            __file__,
            {
                name: measuring.Contender("command", {"arguments": command})
                for name, command in commands.items()
            },
            arguments.rounds,
        )
    rows = [
        {
            "": name,
            "wall, s": rounds.median(name),
            "CPU, s": rounds.median(name, "children_seconds"),
            "of import tensorflow": rounds.median(name) / rounds.median(TENSORFLOW),
        }
        for name in commands
    ]
    summary = [
        measuring.in_seconds(f"start-up: {name}", rounds, name, TENSORFLOW)
        for name in commands
        if name not in (BARE, TENSORFLOW)
    ]
    measuring.tell("Start-up", rows, vars(arguments), summary)


def _commands(folder: str) -> dict[str, list[str]]:
    predict = [
        *("-m", "hrnet_tf.predict", f"--input={folder}/images", "--whole_image"),
        *(f"--output_dir={folder}/predicted", "--overwrite"),
    ]
    return {
        BARE: ["-c", "pass"],
        TENSORFLOW: ["-c", "import tensorflow"],
        "import hrnet_tf": ["-c", "import hrnet_tf"],
        "train --help": ["-m", "hrnet_tf.train", "--help"],
        "predict --help": ["-m", "hrnet_tf.predict", "--help"],
        "first prediction, SavedModel": [*predict, f"--model={folder}/saved_model/1"],
        "first prediction, .tflite": [*predict, f"--model={folder}/none.tflite"],
    }


def command(arguments: Sequence[str]) -> measuring.Work:
    """Starts Python with some arguments and waits for it."""
    # Commands set TensorFlow's variables themselves, and its plain import has none.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in measuring.TENSORFLOW
    }

    def work() -> dict[str, float]:
        before = _children_seconds()
        subprocess.run(
            [sys.executable, *arguments],
            check=True,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        return {"children_seconds": _children_seconds() - before}

    return work


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    measuring.start(main, {"command": command, "export": exported.export})
