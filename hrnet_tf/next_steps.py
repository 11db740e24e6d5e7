"""What a command prints last: the command to type next."""

import os
import shlex
import shutil
import sys


def tell(what: str, command: str, *flags: str) -> None:
    """Prints what can be done next, and the command that does it.

    Args:
        what: The end of a sentence that begins with "Next, ".
        command: The module below hrnet_tf.
        *flags: Its flags.
    """
    _print(what, f"hrnet_tf.{command}", *flags)


def tell_of_run(model_dir: str, task: str, picture: str | None) -> None:
    """Tells what can be done with a model that was evaluated.

    Args:
        model_dir: The directory of its run.
        task: What it is for.
        picture: The picture of the evaluation, if there is one.
    """
    exported = f"exported/{task}/1"
    look = f"look at {picture}, and " if picture else ""
    flags = ("--format=saved_model", f"--output_dir={exported}")
    tell(f"{look}export the model", "export", f"--model_dir={model_dir}", *flags)
    tell("open it as a page in the browser", "demo", f"--model={exported}")


def tell_of_curves(model_dir: str) -> None:
    """Tells how a run is looked at whose models are not exported."""
    _print("look at the curves", "tensorboard.main", f"--logdir={model_dir}")


def tell_of_model(path: str, task: str) -> None:
    """Tells how an exported model is tried."""
    whole = ("--whole_image",) if task == "pose" else ()
    of_whom = " of one person each" if whole else ""
    flags = ("--input=photos", *whole, "--output_dir=predicted")
    tell(f"try it on photos{of_whom}", "predict", f"--model={path}", *flags)
    tell("open it as a page in the browser", "demo", f"--model={path}")


def other_split(path: str) -> str | None:
    """The same path for validation if it is for training, or the other way round."""
    folder, name = os.path.split(path)
    for one, other in (("train", "val"), ("val", "train")):
        if one in name:
            return os.path.join(folder, name.replace(one, other))
    return None


def _print(what: str, module: str, *flags: str) -> None:
    print(f"Next, {what}:\n  {shlex.join([_python(), '-m', module, *flags])}")


def _python() -> str:
    """This Python, as it is typed: its environment may not be the shell's."""
    of_shell = shutil.which("python")
    if of_shell and os.path.abspath(of_shell) == sys.executable:
        return "python"
    near = os.path.relpath(sys.executable)
    return sys.executable if near.startswith(os.pardir) else near
