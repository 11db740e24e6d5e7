import io
import itertools
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from PIL import Image

import hrnet_tf
from hrnet_tf import predict
from hrnet_tf.serving.images import pixels_of
from hrnet_tf.weights import conversion, official_layout
from tests.api.conftest import pose_variables, write_official

BOXES = [[10, 5, 40, 60], [30, 20, 50, 70]]


@pytest.fixture(scope="module")
def pose(exported):
    return hrnet_tf.load(exported / "pose/1")


@pytest.fixture(scope="module")
def detector(detector_dir):
    found = hrnet_tf.load(detector_dir)
    # A random detector is sure of nothing.
    found.style = hrnet_tf.Style(box_score_threshold=0.0)
    return found


def test_every_form_of_a_model_predicts_the_same(pose, exported, run_dir, photos):
    expected = pose.predict(photos[0], BOXES)
    assert expected.keypoints.shape == (2, 17, 3) and expected.scores.shape == (2,)
    assert expected.keypoints.dtype == expected.scores.dtype == np.float32
    (tflite,) = exported.glob("*.tflite")
    checkpoint = next(run_dir.glob("*.index"))
    for path in (exported / "pose", run_dir, checkpoint, str(checkpoint)[:-6], tflite):
        found = hrnet_tf.load(path).predict(photos[0], BOXES)
        # In a random network two pixels may be all but equal peaks.
        agree = np.abs(found.keypoints - expected.keypoints).max(axis=-1) < 1e-2
        assert agree.mean() > 0.95, path
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)


def test_the_flip_test_is_chosen_for_models_in_memory_alone(run_dir, exported, photos):
    plain = hrnet_tf.load(run_dir)
    flipped = hrnet_tf.load(run_dir, flip_test=True)
    assert flipped.metadata.flip_test and not plain.metadata.flip_test
    assert (plain.predict(photos[0]).scores != flipped.predict(photos[0]).scores).all()
    graphs = plain._model.signatures
    counts = {key: graphs[key].experimental_get_tracing_count() for key in graphs}
    assert counts == {"serving_default": 0, "image": 1, "people": 0, "crops": 0}
    with pytest.raises(hrnet_tf.UserError, match="export it with --flip_test"):
        hrnet_tf.load(exported / "pose/1", flip_test=True)


def test_an_image_may_be_given_in_many_forms(pose, photos):
    path = photos[0]
    expected = pose.predict(path, BOXES).keypoints
    pixels = np.asarray(Image.open(path).convert("RGB"))
    content = path.read_bytes()
    for image in (
        *(str(path), content, memoryview(content), io.BytesIO(content)),
        *(Image.open(path), pixels, tf.constant(pixels)),
    ):
        np.testing.assert_array_equal(pose.predict(image, BOXES).keypoints, expected)
    for images in (np.stack([pixels]), tf.constant(pixels)[tf.newaxis], (path,)):
        (found,) = pose.predict(images, [BOXES])
        np.testing.assert_array_equal(found.keypoints, expected)


def test_files_and_pil_images_are_turned_as_viewers_show_them(pose, photos):
    upright = Image.open(photos[0]).convert("RGB")
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    lying.save(file, "PNG", exif=exif)
    expected = pose.predict(upright, BOXES)
    for image in (file.getvalue(), Image.open(file)):
        found = pose.predict(image, BOXES)
        np.testing.assert_array_equal(found.image, expected.image)
        np.testing.assert_array_equal(found.keypoints, expected.keypoints)


def test_many_images_come_back_in_order_whatever_their_sizes(pose, photos):
    pixels = [np.asarray(Image.open(path).convert("RGB")) for path in photos]
    pixels.insert(1, pixels[0][:64])
    boxes = [BOXES, [], BOXES[:1], BOXES, BOXES[1:]]
    expected = [pose.predict(*pair) for pair in zip(pixels, boxes, strict=True)]
    found = pose.predict(pixels, boxes)
    assert isinstance(found, list) and len(found) == 5
    for one, other in zip(found, expected, strict=True):
        assert one.keypoints.shape == other.keypoints.shape
        np.testing.assert_allclose(one.keypoints, other.keypoints, atol=1e-3)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)


def test_images_go_through_the_network_together(pose, photos, monkeypatch):
    batches = []
    predict = pose.predict_people_of
    monkeypatch.setattr(
        pose,
        "predict_people_of",
        lambda images, boxes: batches.append(len(images)) or predict(images, boxes),
    )
    pixels = [np.asarray(Image.open(photos[0]).convert("RGB"))] * 9
    assert len(pose.predict([pixels[0][:64], *pixels])) == 10
    assert batches == [8, 2]


def test_an_iterator_is_read_as_predictions_are_asked_for(pose, photos):
    asked = []

    def endless():
        for number in itertools.count():
            asked.append(number)
            yield photos[0]

    found = pose.predict(endless())
    assert asked == []
    assert len(list(itertools.islice(found, 3))) == 3
    assert len(asked) < 20


def test_a_detector_finds_the_people(pose, detector, photos):
    people = pose.predict(photos[0], detector=detector)
    found = detector.predict(photos[0])
    is_person = found.classes == 1
    assert 0 < is_person.sum() < len(is_person)
    is_person &= (found.boxes[:, 2:] > 0).all(axis=-1)
    np.testing.assert_array_equal(people.boxes, found.boxes[is_person])
    np.testing.assert_allclose(
        people.scores,
        found.scores[is_person] * pose.predict_people(found.image, people.boxes)[1],
        rtol=1e-5,
    )


def test_what_is_found_can_be_told_and_drawn(pose, detector, photos, tmp_path):
    people = pose.predict(photos[0], BOXES)
    rows = people.to_coco(image_id=7, file_name="a.png")
    assert [row["image_id"] for row in rows] == [7, 7]
    assert rows[0]["file_name"] == "a.png" and len(rows[0]["keypoints"]) == 51
    drawn = people.draw()
    drawn.save(tmp_path / "out.png")
    assert drawn.size == people.image.shape[1::-1]
    assert not np.array_equal(np.asarray(drawn), people.image)
    plain = people.draw(keypoint_score_threshold=1e9, draw_boxes=False)
    np.testing.assert_array_equal(np.asarray(plain), people.image)
    assert {row["image_id"] for row in detector.predict(photos[0]).to_coco(3)} == {3}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"images": "nowhere.jpg"}, "nowhere.jpg does not exist"),
        ({"images": b"text"}, "The 4 bytes are not an image"),
        ({"images": 3}, "No image can be made of a int: give a path"),
        ({"images": None}, "No image can be made of a NoneType"),
        ({"images": [None]}, "No image can be made of a NoneType"),
        ({"images": np.zeros((5, 5))}, r"an array of float64 \[5, 5\]"),
        ({"images": np.zeros((5, 5, 4), np.uint8)}, r"uint8 \[5, 5, 4\]"),
        ({"images": np.zeros((0, 5, 3), np.uint8)}, r"uint8 \[0, 5, 3\]"),
        ({"boxes": [1, 2, 3, 4]}, r"four numbers for each person.*got \[1, 2, 3, 4\]"),
        ({"boxes": [["a", 2, 3, 4]]}, "four numbers for each person"),
        ({"boxes": np.zeros((2, 5))}, r"got an array of shape \[2, 5\]"),
        ({"boxes": [[1, 2, 3, 4], [1, 2, 0, 4]]}, r"number 1 .*\[1.0, 2.0, 0.0, 4.0"),
        ({"boxes": [[1, 2, float("nan"), 4]]}, "number 0"),
        ({"boxes": [[1, 2, 3, 2e9]]}, r"up to 1e\+09.*number 0"),
        ({"boxes": [[1, 2, 3, 10**400]]}, "four numbers for each person"),
        ({"boxes": 5}, "^Boxes must be four numbers for each person"),
        ({"images": {"a.jpg"}}, "No image can be made of a set"),
        ({"images": {"a.jpg": 1}}, "No image can be made of a dict"),
        ({"images": io.StringIO("text")}, "No image can be made of a str"),
        ({"images": Image.new("RGB", (0, 5))}, r"uint8 \[5, 0, 3\]"),
        ({"detector": "exported/1"}, "a model that hrnet_tf.load returned; got 'exp"),
    ],
)
def test_what_cannot_be_predicted_is_named(pose, photos, arguments, sentence):
    with pytest.raises(hrnet_tf.UserError, match=sentence):
        pose.predict(**{"images": photos[0], **arguments})


def test_boxes_belong_to_images(pose, detector, photos):
    for images, boxes in (([photos[0]], [BOXES, BOXES]), (photos[:2], [BOXES])):
        with pytest.raises(hrnet_tf.UserError, match="as many lists of boxes"):
            pose.predict(images, boxes)
    with pytest.raises(hrnet_tf.UserError, match=r"^boxes\[1\]: Boxes must be"):
        pose.predict(photos[:2], [BOXES, BOXES[0]])
    with pytest.raises(hrnet_tf.UserError, match="boxes must be as many lists; got 5"):
        pose.predict(photos[:2], 5)
    with pytest.raises(hrnet_tf.UserError, match="not both"):
        pose.predict(photos[0], BOXES, detector)
    with pytest.raises(hrnet_tf.UserError, match="takes no boxes and no detector"):
        detector.predict(photos[0], BOXES)
    with pytest.raises(hrnet_tf.UserError, match="cannot find people"):
        pose.predict(photos[0], detector=pose)


@pytest.mark.slow  # Builds and traces four networks.
def test_official_weights_are_loaded_as_their_file_says(tmp_path, photos):
    model = hrnet_tf.create_model("hrnet_w18_small_v1", "pose")
    path = tmp_path / "pose_hrnet_w18_small_v1_128x96.safetensors"
    write_official(path, pose_variables(model))
    pose = hrnet_tf.load(path)
    assert pose.metadata.input_size == (128, 96)
    assert pose.metadata.skeleton.name == "coco17"
    assert pose.predict(photos[0]).keypoints.shape == (1, 17, 3)
    assert hrnet_tf.load(path, input_size=(64, 64)).metadata.input_size == (64, 64)
    with pytest.raises(hrnet_tf.UserError, match="pose network: leave out label_set"):
        hrnet_tf.load(path, label_set="lip")
    with pytest.raises(hrnet_tf.UserError, match="finds 17 keypoints.* names 16"):
        hrnet_tf.load(path, skeleton="mpii16")
    conversion.write_checkpoint(
        conversion.load_pytorch_checkpoint(str(path)), str(tmp_path / "ckpt")
    )
    again = hrnet_tf.load(tmp_path / "ckpt", input_size=(128, 96))
    np.testing.assert_array_equal(
        again.predict(photos[0]).keypoints, pose.predict(photos[0]).keypoints
    )


@pytest.mark.heavy
def test_networks_of_other_keypoints_need_a_skeleton(tmp_path, photos):
    model = hrnet_tf.create_model("hrnet_w18_small_v1", "pose", num_keypoints=2)
    path = tmp_path / "mine.safetensors"
    write_official(path, pose_variables(model))
    with pytest.raises(hrnet_tf.UserError, match=r"2 keypoints.*skeleton='my"):
        hrnet_tf.load(path)
    skeleton = tmp_path / "two.yaml"
    skeleton.write_text("name: two\nkeypoints: [left, right]\nflip_pairs: auto\n")
    pose = hrnet_tf.load(path, skeleton=skeleton)
    assert pose.predict(photos[0]).keypoints.shape == (1, 2, 3)


def test_what_cannot_be_loaded_is_named(exported, run_dir, tmp_path):
    shutil.copy(run_dir / "params.yaml", tmp_path)
    (tmp_path / "empty").mkdir()
    for path, sentence in (
        (exported / "poze", r"There is no model .*poze' .*'pose'\?\). Give a SavedM"),
        ("", "There is no model ''. Give a SavedModel"),
        ("a\0b", "'a.x00b' is no UTF-8 text"),
        (b"a\xff", "'a.udcff' is no UTF-8 text"),
        ("/nowhere/at/all", "There is no model '/nowhere/at/all'. Give"),
        ("hrnet_w32", "a network without weights, for hrnet_tf.create_model"),
        (None, "from a path; got null"),
        (7, "from a path; got 7"),
        (tmp_path / "empty", "holds no SavedModel.* Give a SavedModel's folder or"),
        (tmp_path, "^(?!--).* holds no checkpoint: train first"),
        (__file__, "is not a .tflite file. Give a SavedModel's folder or"),
        ("http://x/y", "http://x/y.* cannot be looked for"),
        ("nowhere.pth", "no file nowhere.pth"),
    ):
        with pytest.raises(hrnet_tf.UserError, match=sentence):
            hrnet_tf.load(path)
    for options, sentence in (
        ({"skeleton": "coco17"}, "leave it out"),
        ({"skeleton": 5}, "skeleton must be a name, or the path of a YAML file; got 5"),
        ({"label_set": []}, r"label_set must be a name, .*; got \[\]"),
        ({"input_size": 256}, r"input_size must be \(height, width\).*; got 256"),
        ({"input_size": (250, 192)}, "multiples of 32; got"),
        ({"input_size": (256.0, 192.0)}, "multiples of 32; got"),
        ({"style": {}}, "style must be a hrnet_tf.Style"),
    ):
        with pytest.raises(hrnet_tf.UserError, match=sentence):
            hrnet_tf.load(run_dir, **options)
    damaged = tmp_path / "damaged"
    shutil.copytree(exported / "pose/1", damaged)
    with open(damaged / "saved_model.pb", "r+b") as file:
        file.seek(100)
        file.write(b"\0\1\2")
    with pytest.raises(hrnet_tf.UserError, match="damaged"):
        hrnet_tf.load(damaged)


@pytest.fixture(scope="module")
def body():
    """A network without a head."""
    return hrnet_tf.create_model("hrnet_w18_small_v1", features_only=True)


@pytest.mark.heavy
def test_models_without_an_answer_to_draw_are_named(body, tmp_path):
    path = tmp_path / "body.safetensors"
    write_official(path, official_layout.backbone_variables(body))
    with pytest.raises(hrnet_tf.UserError, match=r"hrnet_tf.create_model as weights"):
        hrnet_tf.load(path)
    again = hrnet_tf.create_model(
        "hrnet_w18_small_v1", features_only=True, weights=path
    )
    for one, other in zip(body.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert isinstance(again, tf_keras.Model)


def test_flags_of_the_converter_are_named_as_such(body, tmp_path):
    path = tmp_path / "other.safetensors"
    more = {"surplus.weight": tf.Variable(tf.zeros([3]))}
    write_official(path, {**dict(official_layout.backbone_variables(body)), **more})
    with pytest.raises(hrnet_tf.UserError, match="flags of hrnet_tf.convert_weights"):
        hrnet_tf.load(path)


def test_a_pil_image_that_cannot_be_decoded_is_named(pose, photos):
    file = io.BytesIO()
    Image.open(photos[0]).convert("RGB").save(file, "JPEG")
    damaged = Image.open(io.BytesIO(file.getvalue()[:800]))
    with pytest.raises(hrnet_tf.UserError, match="The PIL image cannot be read: image"):
        pose.predict(damaged)


def test_an_image_of_16_bits_is_the_same_as_its_file(tmp_path):
    ramp = np.arange(0, 65536, 64, np.uint16).reshape(32, 32)
    image = Image.fromarray(ramp)
    image.save(tmp_path / "deep.png")
    found = pixels_of(image)
    np.testing.assert_array_equal(found, pixels_of(tmp_path / "deep.png"))
    np.testing.assert_array_equal(found[..., 1], ramp // 256)


def test_boxes_with_scores_are_lists_or_arrays(pose, photos):
    boxes = hrnet_tf.Boxes(BOXES, [1, 0.5])
    assert boxes.boxes.dtype == boxes.scores.dtype == np.float32
    found, plain = pose.predict(photos[0], boxes), pose.predict(photos[0], BOXES)
    np.testing.assert_allclose(found.scores, plain.scores * [1, 0.5], rtol=1e-5)
    with pytest.raises(hrnet_tf.UserError, match="number for each of the 2 boxes; got"):
        hrnet_tf.Boxes(BOXES, [1])


def test_the_boxes_of_a_detector_that_can_hold_no_person_are_left_out():
    boxes = np.array([[1, 2, 0, 4], [1, 2, 3, 4], [np.nan, 2, 3, 4]], np.float32)
    found = hrnet_tf.Boxes.found(boxes, np.array([0.5, 0.6, 0.7]))
    np.testing.assert_array_equal(found.boxes, boxes[1:2])
    np.testing.assert_array_equal(found.scores, np.float32([0.6]))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["run", "weights"])
def test_the_command_loads_every_form_as_python_does(form, run_dir, photos, tmp_path):
    path = run_dir
    if form == "weights":
        path = tmp_path / "pose_128x96.safetensors"
        model = hrnet_tf.create_model("hrnet_w18_small_v1", "pose")
        write_official(path, pose_variables(model))
    flags = [f"--input={photos[0]}", "--whole_image", "--flip_test"]
    output = tmp_path / "out"
    flags += [f"--model={path}", f"--output_dir={output}"]
    assert predict.main(["predict", *flags]) == 0
    (row,) = json.loads((output / "results.json").read_text())
    (expected,) = hrnet_tf.load(path, flip_test=True).predict(photos[0]).rows()
    np.testing.assert_allclose(row["keypoints"], expected["keypoints"], atol=1e-2)
    np.testing.assert_allclose(row["score"], expected["score"], rtol=1e-4)


def test_importing_and_listing_wait_for_nothing():
    program = """
import sys, hrnet_tf
assert "load" in dir(hrnet_tf) and "tensorflow" not in sys.modules
try:
    hrnet_tf.laod
except AttributeError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "module 'hrnet_tf' has no attribute 'laod'\n"
