"""What a command prints last: the command to type next."""

import json
import os
import re
import shlex
import shutil
import sys
from typing import Any

from absl import flags

# Words for the parts of a data set, as folders and files are named for them.
_SPLITS = (("train", "val"), ("training", "validation"), ("train", "valid"))
_OTHER_SPLIT = {b: a for a, b in _SPLITS} | dict(reversed(_SPLITS))
_SPLIT = re.compile(
    rf"(?<![a-z])({'|'.join(sorted(_OTHER_SPLIT, reverse=True))})(?![a-z])",
    re.IGNORECASE,
)
# What means itself as a value of --params_override.
_PLAIN = re.compile(r"[\w./~-][\w./~*? -]*")


def tell(what: str, command: str, *words: str) -> None:
    """Prints what can be done next, and the command that does it.

    Args:
        what: The end of a sentence that begins with "Next, ".
        command: The module below hrnet_tf.
        *words: Its flags.
    """
    _print(what, f"hrnet_tf.{command}", *words)


def tell_of_run(task: str, picture: str | None, *model: str) -> None:
    """Tells what can be done with a model that was evaluated.

    Args:
        task: What it is for.
        picture: The picture of the evaluation, if there is one.
        *model: The flags by which the exporter knows the model.
    """
    exported = f"exported/{'detector' if task == 'detection' else task}/1"
    look = f"look at {picture}, and " if picture else ""
    output = ("--format=saved_model", f"--output_dir={exported}")
    tell(f"{look}export the model", "export", *model, *output)
    tell("open it as a page in the browser", "demo", f"--model={exported}")


def tell_of_curves(model_dir: str) -> None:
    """Tells how a run is looked at whose models are not exported."""
    _print("look at the curves", "tensorboard.main", f"--logdir={model_dir}")


def tell_of_model(path: str, task: str) -> None:
    """Tells how an exported model is tried."""
    whole = ("--whole_image",) if task == "pose" else ()
    of_whom = " of one person each" if whole else ""
    files = ("--input=photos", *whole, "--output_dir=predicted")
    tell(f"try it on photos{of_whom}", "predict", f"--model={path}", *files)
    tell("open it as a page in the browser", "demo", f"--model={path}")


def tell_of_app(folder: str) -> None:
    """Tells what is done with an Android project that holds its models."""
    print(f"Or open {folder} in Android Studio, and run the app on a phone.")


def given(values: flags.FlagValues, *but: str) -> list[str]:
    """The flags that a command was given, but for some, to be typed again."""
    words = []
    for name in values:
        flag = values[name]
        if not flag.present or name in but:
            continue
        if isinstance(flag, flags.MultiFlag):
            words += [f"--{name}={value}" for value in flag.value]
        else:
            words.append(flag.serialize())
    return words


def change(field: str, value: str) -> str:
    """The flag that sets a field of a configuration, whatever is in the value."""
    if _PLAIN.fullmatch(value):
        return f"--params_override={field}={value}"
    mapping: Any = value
    for name in reversed(field.split(".")):
        mapping = {name: mapping}
    return f"--params_override={json.dumps(mapping, ensure_ascii=False)}"


def is_for_validation(path: str) -> bool:
    """Whether the name of a file says that it is for validation."""
    found = _split_in(path)
    return found is not None and found[1].lower().startswith("val")


def other_split(path: str) -> str | None:
    """The same path for validation if it is for training, or the other way round."""
    found = _split_in(path)
    if found is None:
        return None
    before, split, behind = found
    return f"{before}{_OTHER_SPLIT[split.lower()]}{behind}"


def _split_in(path: str) -> tuple[str, str, str] | None:
    """What is before the word for a split in the name of a file, it, and the rest."""
    start = len(path) - len(os.path.basename(path))
    match = _SPLIT.search(path, start)
    return match and (path[: match.start()], match[0], path[match.end() :])


def _print(what: str, module: str, *words: str) -> None:
    print(f"Next, {what}:\n  {shlex.join([_python(), '-m', module, *words])}")


def _python() -> str:
    """This Python, as it is typed: its environment may not be the shell's."""
    of_shell = shutil.which("python")
    if of_shell and os.path.abspath(of_shell) == sys.executable:
        return "python"
    near = os.path.relpath(sys.executable)
    return sys.executable if near.startswith(os.pardir) else near
