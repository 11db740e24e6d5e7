"""What benchmarks compare with is as good as it says."""

import dataclasses
import json
from pathlib import Path

import cv2
import decoding
import exported
import numpy as np
import official_loader
import photographs
import pose_input
import pytest
import tensorflow as tf

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.configs import pose as pose_config
from hrnet_tf.configs.variants import VARIANTS
from hrnet_tf.modeling.complexity import count_parameters
from hrnet_tf.modeling.pose_model import build_pose_model
from hrnet_tf.ops import affine, heatmaps

CROP_SIZE = (official_loader.HEIGHT, official_loader.WIDTH)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    return photographs.write_people(str(folder), 12, 2.65)


def test_pictures_weigh_what_photographs_do(people):
    sizes = [path.stat().st_size for path in Path(people[0]).iterdir()]
    assert len(sizes) == 12
    assert all(110_000 < size < 190_000 for size in sizes)
    picture = cv2.imread(str(next(Path(people[0]).iterdir())))
    assert picture.shape == (480, 640, 3)


def test_people_are_as_many_as_asked_for_and_on_the_picture(people):
    content = json.loads(Path(people[1]).read_text())
    annotations = content["annotations"]
    assert {person["image_id"] for person in annotations} == set(range(1, 13))
    assert 1.5 < len(annotations) / 12 < 4
    boxes = np.array([person["bbox"] for person in annotations])
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= [640, 480]).all()
    assert boxes[:, 3].min() >= 60 and boxes[:, 3].max() <= 450
    for person in annotations:
        labelled = sum(v > 0 for v in person["keypoints"][2::3])
        assert labelled == person["num_keypoints"] > 0


def test_official_crop_is_ours():
    image = next(photographs.pictures(1))
    center = np.array([300.0, 200.0], np.float32)
    box_size = np.array([150.0, 200.0], np.float32)
    theirs = cv2.warpAffine(
        image,
        official_loader.affine_transform(center, box_size / 200, 25.0),
        CROP_SIZE[::-1],
    )
    matrix = affine.crop_to_image_matrix(center, box_size, 25.0, CROP_SIZE)
    ours = affine.warp_crop(tf.constant(image), matrix, CROP_SIZE).numpy()
    difference = np.abs(ours - theirs)
    assert np.quantile(difference, 0.99) <= 2


def test_official_targets_are_ours():
    rng = np.random.default_rng(0)
    points = rng.uniform(-20, 270, (17, 2)).astype(np.float32)
    visible = rng.uniform(size=17) < 0.8
    theirs, weights = official_loader.draw_targets(points, visible)
    ours, our_weights = heatmaps.encode("msra", points, visible, CROP_SIZE, 2.0)
    np.testing.assert_allclose(theirs.transpose(1, 2, 0), ours, atol=1e-6)
    np.testing.assert_array_equal(weights[:, 0], our_weights)


def test_official_loader_gives_batches_of_people(people):
    dataset = official_loader.OfficialStyle(*people)
    images, targets, weights = next(official_loader.batches(dataset, 4, workers=0))
    assert images.shape == (4, 3, *CROP_SIZE)
    assert targets.shape == (4, 17, 64, 48)
    assert weights.shape == (4, 17, 1)
    assert len(dataset) >= 12
    with pytest.raises(SystemExit, match="people, too few for a batch of 1000"):
        next(official_loader.batches(dataset, 1000, workers=0))


def test_files_are_decoded_as_by_our_pipeline(people):
    path = next(Path(people[0]).iterdir())
    pixels = pose_input._pixels({"encoded": tf.io.read_file(str(path))})
    expected = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("codec", decoding.CODECS)
def test_loops_in_numpy_find_the_same_keypoints(codec):
    (maps,) = decoding.random_maps(4, 4)
    expected, _ = heatmaps.decode(codec, maps.transpose(0, 2, 3, 1), sigma=2.0)
    found = decoding.DECODERS[codec](maps)
    np.testing.assert_allclose(found, expected, atol=0.01)


@pytest.mark.parametrize("variant", ["w18_small_v1", "w18_small_v2"])
def test_network_in_pytorch_is_the_same(variant):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    import torch_hrnet

    network = torch_hrnet.HRNet(**dataclasses.asdict(VARIANTS[variant]))
    with torch.no_grad():
        assert network(torch.zeros(2, 3, 64, 32)).shape == (2, 17, 16, 8)
    config = pose_config.PoseModel(input_size=[64, 32])
    config.backbone.hrnet.override({"model_id": variant})
    ours = build_pose_model(config, 17)
    theirs = sum(weight.numel() for weight in network.parameters())
    assert theirs == count_parameters(ours)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["w18_small_v1", "naive18"])
def test_network_in_bfloat16_has_the_weights_of_the_other(variant):
    size = [64, 64]
    module = exported.random_module(variant, size)
    assert module.metadata.model == variant
    crops = exported.random_crops(1, size)
    expected = module.predict_heatmaps(crops).numpy()
    found = exported._in_bfloat16(module).predict_heatmaps(crops).numpy()
    assert 0 < np.abs(found - expected).mean() < 0.1 * expected.std()
