"""The package as pip installs it: from a wheel, without the checkout."""

import configparser
import inspect
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from hrnet_tf import scripts

REPO = Path(__file__).resolve().parents[2]
DRAWING = "hrnet-tf-data-synthetic"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Callable[..., str]:
    """Returns a function that runs Python with the wheel and without this folder."""
    folder = tmp_path_factory.mktemp("installed")
    source, built, installed = (folder / name for name in ("source", "dist", "site"))
    # Builds leave files behind, of which the next one would take old ones.
    shutil.copytree(
        REPO / "hrnet_tf",
        source / "hrnet_tf",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPO / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    for arguments in (
        ["wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={built}", source],
        ["install", "--no-deps", "--no-index", f"--find-links={built}"]
        + [f"--target={installed}", "hrnet_tf"],
    ):
        subprocess.run([*pip, *arguments], check=True, capture_output=True, timeout=120)

    def run(*arguments: str | Path, program: str = "") -> str:
        done = subprocess.run(
            [installed / "bin" / program if program else sys.executable, *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    where = run("-c", "import hrnet_tf; print(hrnet_tf.__file__)")
    assert where.strip() == str(installed / "hrnet_tf" / "__init__.py")
    return run


def test_it_brings_presets_skeletons_and_types(run):
    program = (
        "from hrnet_tf.data.vocabularies.skeletons import load_skeleton\n"
        "from hrnet_tf.training.presets import presets, resolve\n"
        "load_skeleton('coco_wholebody133')\n"
        "print(resolve('pose/coco_w32_256x192'), *presets())"
    )
    path, *names = run("-c", program).split()
    ours = REPO / "configs" / "pose" / "coco_w32_256x192.yaml"
    assert Path(path).read_text() == ours.read_text()
    files = (REPO / "configs").glob("*/*.yaml")
    assert set(names) == {f"{p.parent.name}/{p.stem}" for p in files}
    assert Path(path).parents[2].joinpath("py.typed").exists()


def test_commands_are_programs_too(run):
    told = run("--help", program="hrnet-tf-train").splitlines()
    module = run("-m", "hrnet_tf.train", "--help").splitlines()
    # One line names the file that Python was given.
    assert [line for line in told if line not in module] == ["hrnet_tf.train:"]
    run("--output_dir=drawn", "--num_train=1", "--num_val=1", program=DRAWING)


def test_every_command_has_a_program():
    setup = configparser.ConfigParser()
    setup.read(REPO / "setup.cfg")
    lines = setup["options.entry_points"]["console_scripts"].split("\n")
    programs = dict(line.split(" = hrnet_tf.scripts:") for line in lines if line)
    files = (REPO / "hrnet_tf").rglob("*.py")
    commands = {
        ".".join(path.relative_to(REPO).with_suffix("").parts)
        for path in files
        if '\nif __name__ == "__main__"' in path.read_text(encoding="utf-8")
    }
    assert len(commands) >= 20
    for command in commands:
        name = command.removeprefix("hrnet_tf.").removesuffix(".__main__")
        name = name.replace(".", "_")
        assert programs.pop(f"hrnet-tf-{name.replace('_', '-')}") == name
        run = inspect.getclosurevars(getattr(scripts, name))
        assert run.nonlocals["module"] == command
    assert not programs


def test_it_predicts(run, tflite_file, tmp_path):
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.full([80, 60, 3], 90, np.uint8))
    run(
        *("-m", "hrnet_tf.predict", "--whole_image", f"--model={tflite_file}"),
        *(f"--input={photo}", f"--output_dir={tmp_path}/out"),
    )
    assert (tmp_path / "out" / "results.json").exists()
    assert cv2.imread(str(tmp_path / "out" / "photo.png")) is not None
