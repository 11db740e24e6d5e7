"""Records of labelled images: shares of the classes, faults, the sheet."""

import numpy as np
import pytest
import tensorflow as tf
from people_folder import HEIGHT, WIDTH, jpeg, picture, run_inspect

from hrnet_tf.data import inspect
from hrnet_tf.data.records.segmentation import encode_image_record

CLASSES = "name: three\nclasses: [floor, left_door, right_door]\nflip_pairs: auto\n"


def labels() -> np.ndarray:
    """A quarter of each class, and a quarter without one."""
    painted = np.full((HEIGHT, WIDTH), 255, np.uint8)
    for number in range(3):
        painted[:, 40 * number : 40 * (number + 1)] = number
    return painted


class Records:
    """Records in a folder; tests add to `examples` before they are written."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "classes.yaml").write_text(CLASSES)
        self.examples = [self.example(number) for number in range(4)]

    @staticmethod
    def example(number, painted=None):
        painted = labels() if painted is None else painted
        name = f"{number}.jpg"
        return encode_image_record(jpeg(picture(number)), name, painted, 3)

    @property
    def flags(self):
        path = str(self.folder / "records")
        with tf.io.TFRecordWriter(path) as writer:
            for example in self.examples:
                writer.write(example)
        return [f"--records={path}"]

    @property
    def label_set(self):
        return f"--label_set={self.folder}/classes.yaml"

    def inspect(self, *flags):
        return run_inspect(self.folder, *self.flags, self.label_set, *flags)


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path)


def test_shares_are_those_of_the_pixels(records):
    report = records.inspect()
    assert report["kind"] == "segmentation" and report["findings"] == {}
    assert report["images"]["counts"]["images"] == 4
    assert report["classes"]["table"] == {
        "0 floor": {"% of pixels": 25.0, "images": 4},
        "1 left_door": {"% of pixels": 25.0, "images": 4},
        "2 right_door": {"% of pixels": 25.0, "images": 4},
        "255 (ignored)": {"% of pixels": 25.0, "images": 4},
    }
    spread = report["classes"]["distributions"]["% of an image that is not learned"]
    assert spread["median"] == 25.0


def test_classes_without_a_label_set_are_numbered(records):
    table = run_inspect(records.folder, *records.flags)["classes"]["table"]
    assert [*table] == ["0 class 0", "1 class 1", "2 class 2", "255 (ignored)"]


def test_what_is_not_learned_is_named(records):
    painted = np.full((HEIGHT, WIDTH), 255, np.uint8)
    painted[:4] = 0
    records.examples.append(records.example(7, painted))
    findings = records.inspect()["findings"]
    (finding,) = findings.values()
    assert findings.keys() == {"image of which more than nine tenths are not learned"}
    assert finding["examples"][0]["text"] == "7.jpg: 96.7 % of the pixels."


def test_numbers_that_are_no_class_are_named(records):
    painted = labels()
    painted[:2] = 9
    records.examples.append(records.example(7, painted))
    report = records.inspect(f"--output_dir={records.folder}/looks", "--num_rows=5")
    (example,) = report["findings"]["pixels with a number that is no class"]["examples"]
    assert example["text"] == "7.jpg: 320 pixels have the number 9."
    assert report["classes"]["table"]["9 (no class)"]["images"] == 1
    assert (records.folder / "looks/doubtful.png").exists()


def test_a_class_without_a_pixel_is_named(records):
    painted = np.minimum(labels(), 1)
    records.examples = [records.example(number, painted) for number in range(3)]
    finding = records.inspect()["findings"]["class without a pixel"]
    assert finding["examples"] == [{"text": "2, right_door."}]


def test_labels_of_another_size_are_a_fault(records):
    records.examples.append(records.example(7, labels()[:50]))
    report = records.inspect()
    (example,) = report["findings"]["wrong image size"]["examples"]
    assert "160x120 pixels, but its labels have 160x50" in example["text"]
    assert report["images"]["counts"]["of these of no use to training"] == 1


def test_another_label_set_is_refused(records, capsys):
    flags = [*records.flags, "--label_set=cityscapes"]
    assert inspect.main(["inspect", *flags]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "count 3 classes" in error and "cityscapes 19" in error


def test_the_sheet_is_drawn_as_the_seed_says(records):
    size = "--params_override=task.train_data.crop_size=[64,64]"
    sheets = []
    for number, seed in enumerate((1, 1, 2)):
        folder = records.folder / f"looks{number}"
        flags = [f"--output_dir={folder}", f"--seed={seed}", "--num_augmented=2", size]
        # A configuration of one's own has the label set, too.
        records.inspect(*flags)
        sheets.append((folder / "sheet.png").read_bytes())
    assert sheets[0] == sheets[1] != sheets[2]
