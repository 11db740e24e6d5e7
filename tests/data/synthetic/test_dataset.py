"""The synthetic dataset: true annotations, COCO's layout, the same files every time."""

import filecmp
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from hrnet_tf.data.synthetic import __main__ as command
from hrnet_tf.data.synthetic import dataset as synthetic
from hrnet_tf.data.synthetic.limits import MAX_PEOPLE
from hrnet_tf.data.synthetic.people import PART_NAMES, sample_figure
from hrnet_tf.data.synthetic.scenes import THINGS, draw_scene
from hrnet_tf.data.synthetic.shapes import draw_shapes
from hrnet_tf.data.vocabularies import skeletons
from hrnet_tf.messages import UserError

NAMES = skeletons.load_skeleton("coco17").keypoints
KINDS = ("person_keypoints", "instances")
SMALL = {"num_train": 5, "num_val": 3, "image_size": 128}
# Of the parts that meet at a joint, those that show it.
SHOWS = {
    "shoulder": ["upper_arm"],
    "elbow": ["upper_arm", "elbow", "lower_arm"],
    "wrist": ["lower_arm", "hand"],
    "hip": ["upper_leg"],
    "knee": ["upper_leg", "knee", "lower_leg"],
    "ankle": ["lower_leg", "foot"],
}
HEAD = ["hair", "face"]


@pytest.fixture(scope="module")
def scenes():
    sides = [(256, 256), (192, 256), (256, 192)]
    return [
        draw_scene(np.random.default_rng(index), *sides[index % 3])
        for index in range(60)
    ]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    output_dir = tmp_path_factory.mktemp("data") / "people"
    synthetic.draw_dataset(str(output_dir), **SMALL)
    return output_dir


def people_of(scenes):
    """Yields (scene, person, keypoints [17, 3], mask [height, width])."""
    for scene in scenes:
        for person in scene.people:
            keypoints = np.array(person["keypoints"]).reshape(17, 3)
            mask = coco_mask.decode(person["segmentation"]).astype(bool)
            yield scene, person, keypoints, mask


def files_in(folder):
    return sorted(
        os.path.relpath(os.path.join(parent, name), folder)
        for parent, _, names in os.walk(folder)
        for name in names
    )


def same_files(first, second, names):
    different = filecmp.cmpfiles(first, second, names, shallow=False)
    return different[1:] == ([], [])


def test_scene_depends_on_the_generator_only():
    first, again, other = (
        draw_scene(np.random.default_rng(seed), 128, 96) for seed in (3, 3, 4)
    )
    assert first.image.shape == (128, 96, 3) and first.image.dtype == np.uint8
    assert first.parts.shape == (128, 96) and first.parts.dtype == np.uint8
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.parts, again.parts)
    assert first.people == again.people
    assert (first.image != other.image).any()


def test_box_and_area_are_those_of_the_mask(scenes):
    for _, person, _, mask in people_of(scenes):
        rows, columns = np.nonzero(mask)
        x, y = columns.min(), rows.min()
        width, height = columns.max() + 1 - x, rows.max() + 1 - y
        assert person["bbox"] == [x, y, width, height]
        assert person["area"] == mask.sum()


def test_masks_are_disjoint_and_make_up_the_part_map(scenes):
    for scene in scenes:
        masks = [mask for one, _, _, mask in people_of([scene])]
        assert np.sum(masks, axis=0).max() == 1
        np.testing.assert_array_equal(np.any(masks, axis=0), scene.parts > 0)
        assert scene.parts.max() < len(PART_NAMES)
    drawn = np.unique([value for scene in scenes for value in np.unique(scene.parts)])
    assert len(drawn) == len(PART_NAMES)


def test_visibility_flags_are_true(scenes):
    counts = np.zeros(3, int)
    for scene, person, keypoints, mask in people_of(scenes):
        height, width = mask.shape
        assert person["num_keypoints"] == (keypoints[:, 2] > 0).sum()
        for name, (x, y, visible) in zip(NAMES, keypoints, strict=True):
            counts[int(visible)] += 1
            if visible == 0:
                assert (x, y) == (0, 0)
                continue
            assert 0 <= x <= width - 1 and 0 <= y <= height - 1
            column, row = round(x), round(y)
            side, _, joint = name.partition("_")
            showing = [f"{side}_{part}" for part in SHOWS.get(joint, [])] or HEAD
            on_top = mask[row, column] and PART_NAMES[scene.parts[row, column]]
            if visible == 2:
                assert on_top in showing, name
            elif showing != HEAD:
                assert on_top not in showing, name
    assert counts.min() > 20
    assert counts[2] > 0.65 * counts.sum()


def test_nobody_is_tiny_or_nearly_hidden(scenes):
    people = list(people_of(scenes))
    assert all(1 <= len(scene.people) <= 4 for scene in scenes)
    assert max(len(scene.people) for scene in scenes) == 4
    assert all(person["area"] > 500 for _, person, _, _ in people)
    assert all((keypoints[:, 2] == 2).sum() >= 3 for _, _, keypoints, _ in people)
    heights = [person["bbox"][3] / scene.parts.shape[0] for scene, person, *_ in people]
    assert 0.4 < np.median(heights) < 0.9


def test_eyes_and_joints_are_drawn_where_the_keypoints_are():
    around = [(dx, dy) for dx in (-6, 0, 6) for dy in (-6, 0, 6) if dx * dy == 0]
    marked = {"eye": [], "elbow": [], "knee": []}
    for seed in range(40):
        figure = sample_figure(np.random.default_rng(seed))
        figure = figure.place(600, np.array([800, 800]))
        image = np.full((1600, 1600, 3), 128, np.uint8)
        draw_shapes(image, figure.shapes)
        points = figure.keypoints.round().astype(int)
        for name, (x, y), turned_away in zip(
            NAMES, points, figure.turned_away, strict=True
        ):
            joint = name.partition("_")[2]
            if joint in marked and not turned_away:
                # A pupil or a patch is a disc of one colour, at least 8 pixels in
                # radius, which ends 20 pixels away.
                colors = np.array([image[y + dy, x + dx] for dx, dy in around])
                beyond = image[[y - 20, y + 20], [x - 20, x + 20]]
                one_disc = (colors == colors[0]).all() and (beyond != colors[0]).any()
                marked[joint].append(one_disc)
        # What the head hides may lie just beyond its outline: a nose in profile.
        on_figure = (image[points[:, 1], points[:, 0]] != 128).any(axis=1)
        assert (on_figure | figure.turned_away).all()
    for joint, found in marked.items():  # the rest are behind another limb
        assert len(found) > 40 and np.mean(found) > 0.8, joint


def test_left_is_warm_and_right_is_cool(scenes):
    limbs = ("upper_arm", "lower_arm", "upper_leg", "lower_leg", "foot")
    for side, sign in (("left", 1), ("right", -1)):
        values = [PART_NAMES.index(f"{side}_{limb}") for limb in limbs]
        checked = 0
        for scene, _, _, mask in people_of(scenes):
            red, _, blue = np.moveaxis(scene.image.astype(int), -1, 0)
            for value in values:
                limb = mask & (scene.parts == value)
                if limb.sum() > 30:
                    checked += 1
                    assert sign * (red - blue)[limb].mean() > 15
        assert checked > 300


def test_the_left_of_those_who_face_the_viewer_is_at_the_right(scenes):
    left, right = NAMES.index("left_shoulder"), NAMES.index("right_shoulder")
    hip = NAMES.index("left_hip")
    as_expected = {True: [], False: []}
    for _, _, keypoints, _ in people_of(scenes):
        upright = keypoints[hip, 1] - keypoints[left, 1] > 20
        both = keypoints[left, 2] == keypoints[right, 2] == 2
        eyes = keypoints[1:3, 2]
        if upright and both and eyes[0] == eyes[1] and eyes[0] > 0:
            left_at_right = keypoints[left, 0] > keypoints[right, 0]
            as_expected[eyes[0] == 2].append(left_at_right)
    facing, turned = as_expected[True], as_expected[False]
    assert len(facing) > 25 and np.mean(facing) > 0.95
    assert len(turned) >= 4 and np.mean(turned) < 0.5


def test_a_scene_out_of_range_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="40 x 128 pixels is too small"):
        draw_scene(rng, 40, 128)
    with pytest.raises(ValueError, match="max_people is 0; give 1 to"):
        draw_scene(rng, 128, 128, max_people=0)


def test_layout_on_disk(dataset):
    expected = ["annotations/part_labels.json"]
    for split, count in (("train", 5), ("val", 3)):
        expected += [f"annotations/{kind}_{split}.json" for kind in KINDS]
        for number in range(1, count + 1):
            expected.append(f"images/{split}/{number:012d}.jpg")
            expected.append(f"parts/{split}/{number:012d}.png")
    assert files_in(dataset) == sorted(expected)
    assert os.listdir(dataset.parent) == ["people"]  # no unfinished folder
    labels = json.loads((dataset / "annotations/part_labels.json").read_text())
    assert tuple(labels["names"]) == PART_NAMES


@pytest.mark.parametrize("split", synthetic.SPLITS)
def test_pycocotools_reads_it(dataset, split):
    coco, instances = (
        COCO(str(dataset / f"annotations/{kind}_{split}.json")) for kind in KINDS
    )
    category = coco.cats[1]
    assert category["name"] == "person" and tuple(category["keypoints"]) == NAMES
    assert [16, 14] in category["skeleton"]
    assert list(coco.imgs) == list(range(1, SMALL[f"num_{split}"] + 1))
    for image in coco.loadImgs(coco.getImgIds()):
        pixels = cv2.imread(str(dataset / "images" / split / image["file_name"]))
        assert pixels.shape == (image["height"], image["width"], 3)
        assert max(pixels.shape) == SMALL["image_size"]
        name = image["file_name"].replace("jpg", "png")
        path = str(dataset / "parts" / split / name)
        parts = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        assert parts.shape == pixels.shape[:2] and parts.dtype == np.uint8
        people = coco.loadAnns(coco.getAnnIds(image["id"]))
        assert people
        anyone = np.any([coco.annToMask(person) for person in people], axis=0)
        np.testing.assert_array_equal(anyone, parts > 0)
    assert [instances.cats[n]["name"] for n in (1, 2, 3, 4)] == ["person", *THINGS]
    people = instances.getAnnIds(catIds=1)
    assert people == list(coco.anns)
    for number in people:
        person = dict(coco.anns[number])
        assert len(person.pop("keypoints")) == 51
        del person["num_keypoints"]
        assert person == instances.anns[number]
    for image_id in instances.imgs:
        of_image = instances.loadAnns(instances.getAnnIds(image_id))
        masks = [instances.annToMask(found) for found in of_image]
        # Of whatever lies on top, every pixel has one owner.
        assert np.sum(masks, axis=0).max() == 1
        for found, mask in zip(of_image, masks, strict=True):
            assert found["area"] == mask.sum() > 0
            x, y, width, height = map(int, found["bbox"])
            rows, columns = np.nonzero(mask)
            assert (columns.min(), rows.min()) == (x, y)
            assert (np.ptp(columns) + 1, np.ptp(rows) + 1) == (width, height)


def test_things_that_are_hidden_are_crowds():
    scenes = [draw_scene(np.random.default_rng(n), 128, 128) for n in range(30)]
    things = [thing for scene in scenes for thing in scene.things]
    assert {thing["name"] for thing in things} == set(THINGS)
    crowds = [thing for thing in things if thing["iscrowd"]]
    assert 0.05 < len(crowds) / len(things) < 0.6
    assert np.mean([c["area"] for c in crowds]) < np.mean([t["area"] for t in things])
    assert all(thing["area"] >= 60 for thing in things if not thing["iscrowd"])


def test_same_files_from_several_processes(dataset, tmp_path):
    synthetic.draw_dataset(str(tmp_path / "two"), **SMALL, num_workers=2)
    assert same_files(dataset, tmp_path / "two", files_in(dataset))


def test_the_end_of_a_process_is_a_sentence():
    with (
        pytest.raises(UserError, match="One of 2 processes .--num_workers. was killed"),
        synthetic._mapper(2) as map_images,
    ):
        list(map_images(os._exit, [1]))


def test_longer_dataset_begins_with_the_shorter(dataset, tmp_path):
    longer = {**SMALL, "num_train": 7, "num_val": 1}
    synthetic.draw_dataset(str(tmp_path / "longer"), **longer)
    names = [f"images/train/{number:012d}.jpg" for number in range(1, 6)]
    names += ["images/val/000000000001.jpg", "parts/val/000000000001.png"]
    assert same_files(dataset, tmp_path / "longer", names)


def test_seed_and_split_change_every_image(dataset, tmp_path):
    synthetic.draw_dataset(str(tmp_path / "other"), **SMALL, seed=1)
    images = [name for name in files_in(dataset) if name.endswith("jpg")]
    _, different, _ = filecmp.cmpfiles(dataset, tmp_path / "other", images, False)
    assert different == images
    val = [name.replace("val", "train") for name in images if "val" in name]
    for name in val:
        pair = (dataset / name, dataset / name.replace("train", "val"))
        assert not filecmp.cmp(*pair, shallow=False)


def test_command_writes_into_an_empty_folder(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    code = command.main(
        ["", f"--output_dir={tmp_path}/empty/", "--num_train=2", "--num_val=1"]
        + ["--image_size=96", "--num_workers=1", "--max_people=1"]
    )
    output = capsys.readouterr()
    assert code == 0
    assert output.out.startswith("Wrote 2 training and 1 validation images with 3 peo")
    assert "3/3 images" in output.err
    assert os.listdir(tmp_path) == ["empty"]


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ([], "--output_dir must have a value"),
        (["--output_dir=x", "--image_size=32"], "32 is not an integer in the range"),
        (["--output_dir=x", "--num_train=0"], "0 is not a positive integer"),
        (["--output_dir=x", "--max_people=99"], "99 is not an integer in the range"),
        (["--output_dir=x", "--number=3"], "Unknown command line flag 'number'"),
        (["--output_dir=x", "y"], "Unexpected argument 'y'"),
    ],
)
def test_bad_usage(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command.main(["synthetic", *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_nothing_is_overwritten(tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept").write_text("kept")
    assert command.main(["", f"--output_dir={tmp_path}/full"]) == 1
    assert "is not empty, and nothing in it is replaced" in capsys.readouterr().err
    assert command.main(["", f"--output_dir={tmp_path}/full/kept"]) == 1
    assert "is a file; name a folder" in capsys.readouterr().err
    assert files_in(tmp_path) == ["full/kept"]


def test_nothing_is_left_of_a_failure(tmp_path, monkeypatch, capsys):
    def failing(rng, height, width, max_people):
        raise OSError("No space left on device")

    monkeypatch.setattr(synthetic, "draw_scene", failing)
    arguments = [f"--output_dir={tmp_path}/new", "--num_workers=1"]
    assert command.main(["", *arguments]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_help_explains_and_tensorflow_stays_out(capsys):
    assert command.main(["", "--help"]) == 0
    text = capsys.readouterr().out
    assert "person_keypoints_{train,val}.json" in text and "--num_workers" in text
    check = (
        "import sys, hrnet_tf.data.synthetic.dataset;"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0


def test_largest_crowd_fits_the_labels():
    rng = np.random.default_rng(0)
    scene = draw_scene(rng, 256, 256, max_people=MAX_PEOPLE)
    assert 1 <= len(scene.people) <= MAX_PEOPLE
