import errno
import json
import os

import cv2
import numpy as np
import pytest
import tensorflow as tf
from fake_pose import FakePredictor
from PIL import Image

from hrnet_tf import predict
from hrnet_tf.api import loading
from hrnet_tf.data.files import media
from hrnet_tf.serving import image_results
from hrnet_tf.serving.metadata import ModelError
from hrnet_tf.serving.pose.predictor import PosePrediction
from hrnet_tf.serving.predictor import DEFAULT_STYLE

RESULTS = ["results.json", "results.jsonl", "results.settings.json"]


@pytest.fixture(autouse=True)
def fake_model(monkeypatch):
    def load(path, style=DEFAULT_STYLE, **options):
        if path != "model":
            raise ModelError(f"There is no model {path}.")
        return FakePredictor(style)

    monkeypatch.setattr(loading, "load", load)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    image = np.full((60, 80, 3), 90, np.uint8)
    for name in ("1.jpg", "2.png", "more/3.bmp"):
        cv2.imwrite(str(folder / name), image)
    return folder


def run(tmp_path, *flags) -> int:
    output = f"--output_dir={tmp_path / 'out'}"
    return predict.main(["predict", "--model=model", output, *map(str, flags)])


def read_results(tmp_path) -> list[dict]:
    return json.loads((tmp_path / "out/results.json").read_text())


def test_whole_images(photos, tmp_path, capsys):
    assert run(tmp_path, f"--input={photos}", "--whole_image") == 0
    assert f"3 people: {tmp_path}/out/results.json" in capsys.readouterr().out
    results = read_results(tmp_path)
    assert [row["image_id"] for row in results] == [1, 2, 3]
    assert [row["file_name"] for row in results] == ["1.jpg", "2.png", "more/3.bmp"]
    for row in results:
        assert row["keypoints"] == [40, 30, 1] * 17
        assert row["bbox"] == [0, 0, 80, 60]
        assert row["category_id"] == 1
        assert row["score"] == pytest.approx(0.8)
    out = tmp_path / "out"
    files = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert files == ["1.jpg", "2.png", "more/3.bmp.png", *RESULTS]
    picture = media.read_image(str(out / "2.png"))
    assert picture.shape == (60, 80, 3)
    assert np.abs(picture[28:33, 38:43].astype(int) - 90).max() > 50  # Drawn on.


def test_given_boxes(photos, tmp_path):
    boxes = [
        {"image_id": 2, "bbox": [10, 10, 20, 20], "score": 0.5, "category_id": 1},
        {"image_id": 2, "bbox": [10, 10, 0, 20], "score": 0.5, "category_id": 1},
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    flags = [f"--input={photos}", f"--boxes={tmp_path / 'boxes.json'}"]
    assert run(tmp_path, *flags) == 0
    (row,) = read_results(tmp_path)
    assert row["image_id"] == 2
    assert row["keypoints"][:2] == [20, 20]
    assert row["score"] == pytest.approx(0.4)
    assert (tmp_path / "out/1.jpg").exists()  # Nobody in it, but looked at.


def test_goes_on_past_what_cannot_be_read(photos, tmp_path, capsys):
    (photos / "0.jpg").write_bytes(b"broken")
    assert run(tmp_path, f"--input={photos}", "--whole_image") == 1
    error = capsys.readouterr().err
    assert "1 could not be read:" in error
    assert f"{photos}/0.jpg: not an image, or of a format" in error
    assert len(read_results(tmp_path)) == 3


@pytest.fixture
def batches(monkeypatch):
    """The widths of the images that the model, a SavedModel, is shown together."""
    shown = []
    predict_batch = FakePredictor.predict_batch

    def remembered(self, images, boxes):
        shown.append([image.shape[1] for image in images])
        return predict_batch(self, images, boxes)

    monkeypatch.setattr(FakePredictor, "batches_any_sizes", True)
    monkeypatch.setattr(FakePredictor, "predict_batch", remembered)
    return shown


@pytest.fixture
def many(tmp_path):
    """Images 01.png to 11.png of as many widths, of which 04.png is broken."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(1, 12):
        image = np.full((20, 20 + number, 3), 90, np.uint8)
        cv2.imwrite(str(folder / f"{number:02}.png"), image)
    (folder / "04.png").write_bytes(b"broken")
    return folder


def test_images_that_are_shown_together_keep_their_boxes(
    batches, many, tmp_path, capsys
):
    boxes = [
        {"image_id": number, "bbox": [number, place, 2, 2], "score": 0.5}
        for number in range(1, 12)
        for place in range(number % 3)
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    flags = [f"--input={many}", f"--boxes={tmp_path / 'boxes.json'}"]
    assert run(tmp_path, *flags) == 1
    assert f"1 could not be read:\n{many}/04.png: not an" in capsys.readouterr().err
    assert batches == [[21, 22, 23, 25, 26, 27, 28], [29, 30, 31]]
    expected = [box for box in boxes if box["image_id"] != 4]
    for row, box in zip(read_results(tmp_path), expected, strict=True):
        assert row["file_name"] == f"{box['image_id']:02}.png"
        assert row["image_id"] == box["image_id"] and row["bbox"] == box["bbox"]
        assert row["keypoints"][:2] == [box["bbox"][0] + 1, box["bbox"][1] + 1]
    for number in {*range(1, 12)} - {4}:
        picture = media.read_image(str(tmp_path / f"out/{number:02}.png"))
        assert picture.shape == (20, 20 + number, 3)


def test_images_that_are_shown_together_have_a_limit(
    batches, many, tmp_path, monkeypatch
):
    # 05.png alone has as many pixels as a group may have.
    monkeypatch.setattr(image_results, "_MOST_PIXELS", 20 * 25)
    for number in (1, 2, 3, 8, 9):
        (many / f"{number:02}.png").unlink()
    cv2.imwrite(str(many / "06.png"), np.full((10, 30, 3), 90, np.uint8))
    cv2.imwrite(str(many / "07.png"), np.full((10, 20, 3), 90, np.uint8))
    assert run(tmp_path, f"--input={many}", "--whole_image") == 1
    assert batches == [[25], [30, 20], [30], [31]]
    found = {row["file_name"]: row["bbox"] for row in read_results(tmp_path)}
    assert list(found) == [f"{number:02}.png" for number in (5, 6, 7, 10, 11)]
    assert found["05.png"] == [0, 0, 25, 20]


@pytest.mark.parametrize("width", [20, 25, 31])
def test_what_fails_among_several_images_is_that_image(
    width, batches, many, tmp_path, capsys, monkeypatch
):
    cv2.imwrite(str(many / "04.png"), np.full((20, 20, 3), 90, np.uint8))
    predict_people = FakePredictor.predict_people

    def fail(self, image, boxes):
        if image.shape[1] == width:
            raise tf.errors.ResourceExhaustedError(None, None, "no room")
        return predict_people(self, image, boxes)

    monkeypatch.setattr(FakePredictor, "predict_people", fail)
    assert run(tmp_path, f"--input={many}", "--whole_image") == 1
    name = {20: "04", 25: "05", 31: "11"}[width]
    message = f"{name}.png: there is not enough memory to predict its {width}x20"
    assert message in capsys.readouterr().err
    names = [row["file_name"] for row in read_results(tmp_path)]
    assert names == [f"{n:02}.png" for n in range(1, 12) if n != int(name)]


def test_one_huge_image_does_not_stop_the_rest(photos, tmp_path, capsys, monkeypatch):
    for name, width in (("0.jpg", 90), ("5.jpg", 91), ("6.jpg", 92)):
        cv2.imwrite(str(photos / name), np.full((60, width, 3), 90, np.uint8))
    predict_people = FakePredictor.predict_people
    faults = {
        90: MemoryError(),
        91: cv2.error("too many columns"),
        92: tf.errors.InvalidArgumentError(None, None, "no such size"),
    }

    def fail(self, image, boxes):
        if image.shape[1] in faults:
            raise faults[image.shape[1]]
        return predict_people(self, image, boxes)

    monkeypatch.setattr(FakePredictor, "predict_people", fail)
    assert run(tmp_path, f"--input={photos}", "--whole_image") == 1
    error = capsys.readouterr().err
    assert "3 could not be read:" in error
    assert "0.jpg: there is not enough memory to predict its 90x60 pixels." in error
    assert "5.jpg: its 91x60 pixels cannot be predicted: too many columns" in error
    assert "6.jpg: its 92x60 pixels cannot be predicted: no such size" in error
    assert len(read_results(tmp_path)) == 3


def test_a_picture_that_jpeg_cannot_hold_does_not_stop_the_rest(
    photos, tmp_path, capsys
):
    Image.new("RGB", (65501, 2)).save(photos / "4.webp", "PNG")
    Image.new("RGB", (65501, 2)).save(photos / "5.jpg", "PNG")
    assert run(tmp_path, f"--input={photos}", "--whole_image") == 1
    error = capsys.readouterr().err
    assert "1 could not be read:" in error
    assert "5.jpg: 65501x2 pixels are too many for a file of the type .jpg." in error
    assert len(read_results(tmp_path)) == 4
    assert not (tmp_path / "out/5.jpg").exists()


def test_names_that_are_too_long_do_not_stop_the_rest(
    photos, tmp_path, capsys, monkeypatch
):
    labels = property(lambda self: np.full((60, 80), 7, np.uint8))
    monkeypatch.setattr(PosePrediction, "label_map", labels)
    picture = (photos / "1.jpg").read_bytes()
    for letters in (240, 249):
        (photos / ("0" * letters + ".jpg")).write_bytes(picture)
    assert run(tmp_path, f"--input={photos}", "--whole_image") == 1
    error = capsys.readouterr().err
    assert "1 could not be read:" in error
    long = f"{'0' * 249}.jpg"
    assert f"{long}: its output cannot be written: File name too long." in error
    names = [row["file_name"] for row in read_results(tmp_path)]
    assert names == [f"{'0' * 240}.jpg", "1.jpg", "2.png", "more/3.bmp"]


def test_a_file_in_the_place_of_a_folder_does_not_stop_the_rest(
    photos, tmp_path, capsys
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/more").write_text("not a folder")
    (photos / "z.jpg").write_bytes((photos / "1.jpg").read_bytes())
    assert run(tmp_path, f"--input={photos}", "--whole_image") == 1
    assert "more/3.bmp: its output cannot be written" in capsys.readouterr().err
    assert len(read_results(tmp_path)) == 3


def test_a_full_disk_ends_it_with_one_sentence(photos, tmp_path, capsys, monkeypatch):
    def fail(path, image):
        raise OSError(errno.ENOSPC, "No space left on device", path)

    monkeypatch.setattr(image_results.visualization, "write_image", fail)
    assert run(tmp_path, f"--input={photos}", "--whole_image") == 1
    error = capsys.readouterr().err
    assert error.count("No space left on device") == 1 and "Traceback" not in error
    assert not (tmp_path / "out/results.json").exists()


@pytest.mark.parametrize("name", ["1.jpg.labels.png", "2.webp.png"])
def test_outputs_of_one_name_are_refused(name, photos, tmp_path, capsys):
    Image.new("RGB", (80, 60)).save(photos / name)
    Image.new("RGB", (80, 60)).save(photos / "2.webp")
    assert run(tmp_path, f"--input={photos}", "--whole_image") == 1
    error = capsys.readouterr().err
    other = {"1.jpg.labels.png": "1.jpg", "2.webp.png": "2.webp"}[name]
    assert f"{tmp_path}/out/{name} would be the output of both" in error
    assert f"{photos}/{other} and {photos}/{name}: rename" in error
    assert not (tmp_path / "out").exists()


def test_without_pictures_there_are_results_alone(photos, tmp_path):
    earlier = tmp_path / "out/1.jpg"
    earlier.parent.mkdir()
    earlier.write_bytes(b"stays")
    flags = ["--whole_image", "--no_pictures"]
    assert run(tmp_path, f"--input={photos}", *flags) == 0
    assert len(read_results(tmp_path)) == 3
    names = [path.name for path in sorted(earlier.parent.iterdir())]
    assert names == ["1.jpg", *RESULTS]
    assert earlier.read_bytes() == b"stays"
    assert run(tmp_path, f"--input={photos}", *flags) == 1  # Results exist already.


def test_label_maps_are_named_by_their_path(photos, tmp_path, monkeypatch, capsys):
    labels = property(lambda self: np.full((60, 80), 7, np.uint8))
    monkeypatch.setattr(PosePrediction, "label_map", labels)
    flags = [f"--input={photos}", "--whole_image", "--no_pictures"]
    assert run(tmp_path, *flags) == 0
    paths = [row["label_map"] for row in read_results(tmp_path)]
    assert paths == [
        "1.jpg.labels.png",
        "2.png.labels.png",
        "more/3.bmp.png.labels.png",
    ]
    for path in paths:
        assert (media.read_image(str(tmp_path / "out" / path)) == 7).all()
    for name in RESULTS:
        (tmp_path / "out" / name).unlink()
    assert run(tmp_path, *flags) == 1  # They are results, too.
    assert "1.jpg.labels.png exists already" in capsys.readouterr().err


@pytest.fixture
def phone(tmp_path):
    """A photo of 80x60 pixels that viewers show as 60x80."""
    exif = Image.Exif()
    exif[0x0112] = 6
    folder = tmp_path / "phone"
    folder.mkdir()
    Image.fromarray(np.full((60, 80, 3), 90, np.uint8)).save(
        folder / "1.jpg", exif=exif
    )
    return folder


def test_pictures_are_turned_by_their_orientation(phone, tmp_path):
    assert run(tmp_path, f"--input={phone}", "--whole_image") == 0
    assert read_results(tmp_path)[0]["bbox"] == [0, 0, 60, 80]
    assert media.read_image(str(tmp_path / "out/1.jpg")).shape == (80, 60, 3)
    flags = ["--whole_image", "--exif=ignore", "--overwrite"]
    assert run(tmp_path, f"--input={phone}", *flags) == 0
    assert read_results(tmp_path)[0]["bbox"] == [0, 0, 80, 60]


def annotate(tmp_path, width, height):
    row = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [9, 9, 20, 20]}
    image = {"id": 1, "file_name": "1.jpg", "width": width, "height": height}
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({"images": [image], "annotations": [row]}))
    return f"--boxes={path}"


def test_boxes_of_turned_pictures_and_of_stored_pixels(phone, tmp_path, capsys, log):
    flags = [f"--input={phone}", annotate(tmp_path, 80, 60)]
    assert run(tmp_path, *flags) == 1
    error = capsys.readouterr().err
    assert "turn it from 80x60 to 60x80 pixels" in error and "--exif=ignore" in error
    assert not (tmp_path / "out").exists()
    assert run(tmp_path, *flags, "--exif=ignore") == 0
    flags = [f"--input={phone}", annotate(tmp_path, 60, 80), "--overwrite"]
    assert run(tmp_path, *flags, "--exif=ignore") == 1
    assert "Its boxes are for 60x80: say --exif=apply." in capsys.readouterr().err
    assert run(tmp_path, *flags) == 0
    assert "turned by their EXIF" not in log()
    # Results of a detector list no sizes.
    rows = [{"image_id": 1, "bbox": [9, 9, 20, 20], "score": 1, "category_id": 1}]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    assert run(tmp_path, *flags) == 0
    assert "1 images are turned by their EXIF orientation, the first is" in log()


def test_existing_output_is_kept_unless_told(photos, tmp_path, capsys):
    assert run(tmp_path, f"--input={photos}/1.jpg", "--whole_image") == 0
    assert run(tmp_path, f"--input={photos}", "--whole_image") == 1
    assert "exists already" in capsys.readouterr().err
    assert len(read_results(tmp_path)) == 1
    assert run(tmp_path, f"--input={photos}", "--whole_image", "--overwrite") == 0
    assert len(read_results(tmp_path)) == 3


def test_the_input_is_never_replaced(photos, capsys):
    before = (photos / "1.jpg").read_bytes()
    for source in (photos, photos / "1.jpg"):
        flags = [f"--input={source}", f"--output_dir={photos}", "--overwrite"]
        assert predict.main(["predict", "--model=model", "--whole_image", *flags]) == 1
        assert "would take the place of the input" in capsys.readouterr().err
    assert (photos / "1.jpg").read_bytes() == before
    assert not (photos / "results.json").exists()


def test_images_of_one_number_are_counted(tmp_path):
    folder = tmp_path / "photos"
    for name in ("a/1.png", "b/1.png"):
        (folder / name).parent.mkdir(parents=True)
        cv2.imwrite(str(folder / name), np.zeros((40, 40, 3), np.uint8))
    assert run(tmp_path, f"--input={folder}", "--whole_image") == 0
    assert [row["image_id"] for row in read_results(tmp_path)] == [1, 2]


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    [
        ([], 2, "Give one of --detector=MODEL, --boxes=FILE.json, or --whole_image"),
        (["--whole_image", "--boxes=b.json"], 2, "Give one of"),
        (["--whole_image", "--detector=d"], 2, "Give one of"),
        (["--whole_image", "--box_score_threshold=0.5"], 2, "changes nothing here"),
        (["--whole_image", "--num_threads=0"], 2, "num_threads"),
        (["--boxes=/nowhere.json"], 1, "--boxes=/nowhere.json does not exist"),
        (["--whole_image", "--model=other"], 1, "There is no model other"),
        (["--whole_image", "--input=/nowhere"], 1, "There is no file or folder"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(
    flags, code, sentence, photos, tmp_path, capsys
):
    assert run(tmp_path, f"--input={photos}", *flags) == code
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_images_have_a_limit_and_pipes_are_passed_over(photos, tmp_path, capsys):
    os.mkfifo(photos / "9.jpg")
    cv2.imwrite(str(photos / "5.jpg"), np.zeros((61, 80, 3), np.uint8))
    flags = (f"--input={photos}", "--whole_image", "--max_pixels=4800")
    assert run(tmp_path, *flags) == 1
    error = capsys.readouterr().err
    assert "2 could not be read:" in error
    assert "9.jpg is a pipe, not a file." in error
    assert "5.jpg: too large: it has 4880 pixels, and an image may" in error


def test_flags_about_the_model_are_those_of_load(photos, tmp_path, monkeypatch, capsys):
    told = {}

    def load(path, style=DEFAULT_STYLE, **options):
        told.update(options)
        return FakePredictor(style)

    monkeypatch.setattr(loading, "load", load)
    flags = ["--skeleton=s.yaml", "--input_size=64,32", "--flip_test", "--unverified"]
    assert run(tmp_path, f"--input={photos}", "--whole_image", *flags) == 0
    assert told == {
        "skeleton": "s.yaml",
        "label_set": None,
        "input_size": (64, 32),
        "flip_test": True,
        "num_threads": max(1, os.cpu_count() - 1),
        "verify": False,
    }
    # The next command is about the same model.
    assert (
        "hrnet_tf.demo --model=model --unverified --skeleton=s.yaml "
        "--input_size=64,32 --flip_test\n" in capsys.readouterr().out
    )
