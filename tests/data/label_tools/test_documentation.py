"""Every command of docs/label_tools.md runs as it is printed, in its order."""

import importlib
import json
import re
import shlex
import shutil
from pathlib import Path

from hrnet_tf.data.label_tools.labels import UNSAID

TEXT = (Path(__file__).parents[3] / "docs/label_tools.md").read_text()
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def lay_out(data):
    """Puts the files that tools made where the page has them."""
    shutil.copy(data / "cvat_datumaro.xml", data / "annotations.xml")
    shutil.copy(data / "coco_datumaro.json", data / "labels.json")
    shutil.copytree(data / "labelme", data / "labels")
    tasks = json.loads((data / "label_studio_sleap.json").read_text())
    tasks[0]["data"] = {"image": "a.png"}
    (data / "export.json").write_text(json.dumps(tasks))
    shutil.copytree(data / "images", data / "dataset/images/train")
    (data / "dataset/labels/train").mkdir(parents=True)
    lines = data / "yolo_pose_ultralytics.txt"
    shutil.copy(lines, data / "dataset/labels/train/a.txt")
    (data / "dataset/data.yaml").write_text(
        "train: images/train\nval: images/val\nkpt_shape: [3, 3]\nnames: [person]\n"
    )
    folder = shutil.copytree(data / "images", data / "project/labeled-data/vid")
    shutil.copy(data / "deeplabcut/CollectedData_me.csv", folder)


def test_commands_run(data, monkeypatch, capsys):
    lay_out(data)
    # The mask and polygon of the drawn file are of an animal without keypoints.
    text = (data / "annotations.xml").read_text()
    people = re.sub(r"<(mask|polygon).*?</\1>", "", text, flags=re.DOTALL)
    (data / "annotations.xml").write_text(people)
    monkeypatch.chdir(data)
    tools = set()
    for command in COMMANDS:
        python, _, name, *flags = shlex.split(command.replace("\\\n", " "))
        assert python == "python"
        code = importlib.import_module(name).main([name, *flags])
        assert code == 0, f"{command}{capsys.readouterr().err}"
        tools |= {flag for flag in flags if flag.startswith("--from=")}
    assert len(tools) == 6


def test_the_page_names_all_that_a_format_may_not_say():
    table = TEXT[TEXT.index("What each can say:") : TEXT.index("## What is missing")]
    told = {
        "visibility": "hidden keypoints",
        "image sizes": "size of images",
        "categories": None,
        "sigmas": None,
    }
    for what in UNSAID:
        row = told.get(what, what)
        assert row is None or f"\n| {row}" in table, what
