"""The package as pip installs it: from archives, without the checkout."""

import configparser
import inspect
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import hrnet_tf
from hrnet_tf import scripts

REPO = Path(__file__).resolve().parents[2]
DRAWING = "hrnet-tf-data-synthetic"


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """The files of the checkout, from its top."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=REPO, capture_output=True)
    if done.returncode:
        pytest.skip("this is no checkout of Git")
    names = [name for name in done.stdout.decode().split("\0") if name]
    return [name for name in names if (REPO / name).exists()]


@pytest.fixture(scope="module")
def archive(tracked, tmp_path_factory) -> Path:
    """The source archive, made as `make dist` does."""
    folder = tmp_path_factory.mktemp("archive")
    # Builds leave files behind, of which the next one would take old ones.
    source = folder / "source"
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPO / name, source / name, follow_symlinks=False)
    app = source / "examples/android/app/src/main/assets"
    for left in (app / "pose.tflite", source / "tests/support/reader.pyc"):
        left.parent.mkdir(exist_ok=True)
        left.touch()
    build = f"from setuptools import build_meta as b; b.build_sdist({str(folder)!r})"
    subprocess.run(
        [sys.executable, "-c", build],
        cwd=source,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (made,) = folder.glob("*.tar.gz")
    return made


@pytest.fixture(scope="module")
def run(archive, tmp_path_factory) -> Callable[..., str]:
    """Returns a function that runs Python with the wheel and without this folder."""
    folder = tmp_path_factory.mktemp("installed")
    built, installed = (folder / name for name in ("dist", "site"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = ["wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={built}"]
    for arguments in (
        [*wheel, archive],
        ["install", "--no-deps", "--no-index", f"--find-links={built}"]
        + [f"--target={installed}", "hrnet_tf"],
    ):
        subprocess.run([*pip, *arguments], check=True, capture_output=True, timeout=120)

    def run(*arguments: str | Path, program: str = "", code: int = 0) -> str:
        done = subprocess.run(
            [installed / "bin" / program if program else sys.executable, *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stderr[-2000:]
        return done.stdout

    where = run("-c", "import hrnet_tf; print(hrnet_tf.__file__)")
    assert where.strip() == str(installed / "hrnet_tf" / "__init__.py")
    return run


def test_the_source_archive_is_the_checkout(archive, tracked):
    with tarfile.open(archive) as opened:
        names = {
            name.partition("/")[2]: opened.getmember(name)
            for name in opened.getnames()
            if "/" in name
        }
    files = {name for name, member in names.items() if member.isfile()}
    (presets,) = (name for name in tracked if (REPO / name).is_dir())  # A link here.
    assert {*tracked} - {presets} <= files
    copies = {f"{presets}/{name.partition('/')[2]}" for name in _configurations()}
    more = {"PKG-INFO"} | copies
    others = files - {*tracked} - more
    assert {name.partition("/")[0] for name in others} == {"hrnet_tf.egg-info"}


def _configurations() -> set[str]:
    files = (REPO / "configs").glob("*/*.*")
    return {path.relative_to(REPO).as_posix() for path in files}


def test_the_wheel_holds_the_package_and_nothing_else(run, tracked):
    program = (
        "import importlib.metadata, pathlib\n"
        "for path in importlib.metadata.files('hrnet_tf'): print(path)"
    )
    files = [name for name in run("-c", program).splitlines() if ".pyc" not in name]
    ours = {name for name in tracked if name.startswith("hrnet_tf/")}
    ours -= {name for name in ours if (REPO / name).is_dir()}
    ours |= {
        f"hrnet_tf/presets{name.removeprefix('configs')}" for name in _configurations()
    }
    assert {name for name in files if name.startswith("hrnet_tf/")} == ours
    tops = {name.partition("/")[0] for name in files} - {"hrnet_tf"}
    assert tops == {f"hrnet_tf-{hrnet_tf.__version__}.dist-info", ".."}  # bin
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in files)


def test_presets_and_what_they_name_are_found(run):
    program = (
        "from hrnet_tf.data.vocabularies.skeletons import load_skeleton\n"
        "from hrnet_tf.preset_files import resolve\n"
        "load_skeleton('coco_wholebody133')\n"
        "load_skeleton('configs/pose/skeleton_example.yaml')\n"
        "print(resolve('pose/coco_w32_256x192'))"
    )
    path = Path(run("-c", program).strip())
    ours = REPO / "configs" / "pose" / "coco_w32_256x192.yaml"
    assert path.read_text() == ours.read_text()
    assert not path.is_relative_to(REPO)


def test_commands_are_programs_too(run):
    told = run("--help", program="hrnet-tf-train").splitlines()
    module = run("-m", "hrnet_tf.train", "--help").splitlines()
    # One line names the file that Python was given.
    assert [line for line in told if line not in module] == ["hrnet_tf.train:"]
    drawing = ("--output_dir=drawn", "--num_train=1", "--num_val=1")
    run(*drawing, program=DRAWING)
    run(*drawing, program=DRAWING, code=1)  # It is there.
    run("--no_such_flag", program=DRAWING, code=2)


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
