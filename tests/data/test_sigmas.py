"""The command that estimates sigmas: what it prints, and what it refuses."""

import copy
import json

import numpy as np
import pytest
import yaml

from hrnet_tf.data import sigmas as command
from hrnet_tf.data.vocabularies.skeletons import load_skeleton, skeleton_from_spec

NAMES = ["tip", "base", "left", "right"]
SIGMAS = np.array([0.02, 0.04, 0.06, 0.1])


class Annotators:
    """Files of two annotators of the same mugs; tests change them before writing."""

    def __init__(self, folder, num_images=150):
        self.folder = folder
        rng = np.random.default_rng(0)
        self.first = {
            "images": [],
            "annotations": [],
            "categories": [{"id": 3, "name": "mug", "keypoints": NAMES}],
        }
        self.second = copy.deepcopy(self.first)
        for number in range(num_images):
            for file, offset in ((self.first, 1), (self.second, 1000)):
                file["images"].append(
                    {
                        "id": number + offset,
                        "file_name": f"{number}.jpg",
                        "width": 900,
                        "height": 700,
                    }
                )
            # In an order of each one's own.
            mugs = [self._mug(rng, 50 + 420 * place) for place in range(2)]
            for file, order in ((self.first, (0, 1)), (self.second, (1, 0))):
                for place in order:
                    self._annotate(file, mugs[place], rng)

    def _mug(self, rng, x):
        size = rng.uniform(150, 400, 2)
        return (x, 60), size, (x, 60) + size * rng.uniform(0.1, 0.9, (4, 2))

    def _annotate(self, file, mug, rng):
        corner, size, points = mug
        area = float(size.prod()) / 2
        spread = np.sqrt(area) * SIGMAS[:, np.newaxis] / np.sqrt(2)
        placed = points + spread * rng.standard_normal((4, 2))
        file["annotations"].append(
            {
                "id": len(file["annotations"]) + 7,
                "image_id": file["images"][-1]["id"],
                "category_id": 3,
                # Boxes of two annotators differ.
                "bbox": [*(corner + rng.uniform(-5, 5, 2)), *size],
                "area": area,
                "iscrowd": 0,
                "keypoints": np.column_stack([placed, [2] * 4]).ravel().tolist(),
            }
        )

    def run(self, *flags):
        paths = [self.folder / "anna.json", self.folder / "ben.json"]
        for path, content in zip(paths, (self.first, self.second), strict=True):
            path.write_text(json.dumps(content))
        both = [f"--first={paths[0]}", f"--second={paths[1]}"]
        return command.main(["sigmas", *both, *flags])


@pytest.fixture(name="mugs")
def fixture_mugs(tmp_path) -> Annotators:
    return Annotators(tmp_path)


def test_simulated_sigmas_are_printed_for_a_skeleton_file(mugs, capsys):
    assert mugs.run() == 0
    out, err = capsys.readouterr()
    assert "From 300 people in 150 images" in out and not err
    assert "0.02" in out and "# tip, 300 pairs" in out
    spec = {"name": "mug", "keypoints": NAMES, "flip_pairs": [], **yaml.safe_load(out)}
    found = skeleton_from_spec(spec, "printed").sigmas
    np.testing.assert_allclose(found, SIGMAS, rtol=0.1)


def test_people_in_one_file_only_are_told_of(mugs, capsys):
    del mugs.first["annotations"][3]
    mugs.second["annotations"].pop()
    del mugs.second["images"][5]
    mugs.second["annotations"] = [
        a for a in mugs.second["annotations"] if a["image_id"] != 1005
    ]
    assert mugs.run() == 0
    out, _ = capsys.readouterr()
    assert "From 296 people in 149 images" in out
    assert "2 others are in one of the two only." in out


def test_keypoints_with_few_pairs_are_named(mugs, capsys):
    for annotation in mugs.second["annotations"][9:]:
        annotation["keypoints"][5] = 0
    for annotation in mugs.first["annotations"]:
        annotation["keypoints"][11] = 0
    assert mugs.run() == 0
    out, err = capsys.readouterr()
    assert "Fewer than 30 pairs" in err and "base (9), right (0)." in err
    assert "- 0.05  # right, no pair" in out
    assert mugs.run("--min_pairs=5") == 0
    assert "base" not in capsys.readouterr().err


def test_swapped_sides_are_named(mugs, capsys):
    keypoints = mugs.second["annotations"][0]["keypoints"]
    keypoints[9] += 700
    assert mugs.run() == 0
    err = capsys.readouterr().err
    assert "5 times the usual: 1, such as" in err
    assert "right of annotations 8 and 7 on 0.jpg" in err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda m: m.second.update(copy.deepcopy(m.first)), ["ben.json", "a copy"]),
        (
            lambda m: [i.update(file_name=f"b{i['id']}") for i in m.second["images"]],
            ["no image in common", "0.jpg", "b1000", "149 more"],
        ),
        (
            lambda m: [
                a.update(bbox=[800, 600, 20, 20], keypoints=[810, 610, 2] * 4)
                for a in m.second["annotations"]
            ],
            ["150 images in common", "nobody"],
        ),
        (
            lambda m: (
                [
                    a["keypoints"].__setitem__(slice(2, None, 3), [0, 0, 2, 2])
                    for a in m.second["annotations"]
                ]
                + [
                    a["keypoints"].__setitem__(slice(2, None, 3), [2, 2, 0, 0])
                    for a in m.first["annotations"]
                ]
            ),
            ["Nobody has a keypoint that both"],
        ),
        (
            lambda m: m.second["categories"][0].update(keypoints=NAMES[:3]),
            ["ben.json lists 3 keypoints", "has 4"],
        ),
        (
            lambda m: m.first["categories"][0].pop("keypoints"),
            ["No category in", "anna.json", "--skeleton"],
        ),
        (
            lambda m: m.first["annotations"][0].pop("area"),
            ["anna.json", "area is missing", "--area_from"],
        ),
    ],
)
def test_files_that_cannot_be_compared(mugs, change, told, capsys):
    change(mugs)
    assert mugs.run() == 1
    out, err = capsys.readouterr()
    assert not out and len(err.splitlines()) == 1
    assert all(part in err for part in told), err


def test_faults_can_be_skipped(mugs, capsys):
    mugs.first["annotations"][0]["keypoints"] = [1, 2]
    assert mugs.run() == 1
    assert mugs.run("--on_error=skip") == 0
    out, err = capsys.readouterr()
    assert "From 299 people" in out and "keypoints has 2 numbers" in err


def test_without_a_second_file_it_says_what_others_take(mugs, capsys):
    mugs.run()
    capsys.readouterr()
    assert command.main(["sigmas", "--skeleton=mpii16"]) == 0
    out, _ = capsys.readouterr()
    assert "compares with no AP by others" in out and "PCK and NME" in out
    found = yaml.safe_load(out)["sigmas"]
    mpii = load_skeleton("mpii16").keypoints
    assert found[mpii.index("left_hip")] == 0.107
    # Its own, which stand in the skeleton's file.
    assert found[mpii.index("head_top")] == 0.035 and "head_top, of mpii16" in out
    assert command.main(["sigmas", f"--first={mugs.folder}/anna.json"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["sigmas"] == [0.05] * 4


@pytest.mark.parametrize("flags", [[], ["--second=a.json"], ["--first=", "--second="]])
def test_the_first_file_is_asked_for(flags, capsys):
    assert command.main(["sigmas", *flags]) == 2
    assert "--first is missing" in capsys.readouterr().err
