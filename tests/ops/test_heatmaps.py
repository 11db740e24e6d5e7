import pathlib

import cv2
import numpy as np
import pytest
import tensorflow as tf

from hrnet_tf.ops import affine, heatmaps
from hrnet_tf.ops.map_readers import Gathers, Masks

REFERENCE = np.load(
    pathlib.Path(__file__).parents[1] / "testdata" / "pose_codec.npz",
    allow_pickle=False,
)
RECIPES = [((256, 192), 2.0), ((384, 288), 3.0)]  # crop size, sigma
FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


def channels_last(maps: np.ndarray) -> np.ndarray:
    return maps.transpose(0, 2, 3, 1)


def interior_keypoints(crop_size, margin, count=32, seed=0):
    """[count, 17, 2], at least `margin` crop pixels from the edge."""
    height, width = crop_size
    low, high = [margin] * 2, [width - 1 - margin, height - 1 - margin]
    return np.random.default_rng(seed).uniform(low, high, (count, 17, 2))


def smooth_maps(count=4, size=(64, 48), seed=0):
    """[count, h, w, 17] maps with several peaks, negative values and noise."""
    generator = np.random.default_rng(seed)
    crop_size = size[0] * 4, size[1] * 4
    maps = generator.normal(scale=0.01, size=(count, *size, 17))
    for peak in 0.9, 0.5, 0.3:
        low, high = [-10, -10], [crop_size[1] + 10, crop_size[0] + 10]
        keypoints = generator.uniform(low, high, (count, 17, 2))
        rendered, _ = heatmaps.encode(
            "dark", keypoints, np.ones((count, 17)), crop_size, sigma=2.5
        )
        maps += peak * rendered.numpy()
    return maps.astype(np.float32)


@pytest.mark.parametrize("crop_size, sigma", RECIPES)
def test_msra_targets_and_weights_equal_the_official_ones(crop_size, sigma):
    prefix = f"encode_{crop_size[0]}x{crop_size[1]}_"
    targets, weights = heatmaps.encode(
        "msra",
        REFERENCE[prefix + "joints_xy"],
        REFERENCE[prefix + "visible"],
        crop_size,
        sigma,
    )
    expected = channels_last(REFERENCE[prefix + "target"])
    np.testing.assert_allclose(targets, expected, atol=1e-6)
    np.testing.assert_array_equal(weights, REFERENCE[prefix + "target_weight"][..., 0])
    assert targets.dtype == weights.dtype == tf.float32


@pytest.mark.parametrize("refine", [False, True])
def test_msra_decoding_equals_the_official_one(refine):
    keypoints, scores = heatmaps.decode(
        "msra", channels_last(REFERENCE["decode_heatmaps"]), refine=refine
    )
    matrix = affine.crop_to_image_matrix(
        REFERENCE["decode_center"], REFERENCE["decode_scale"] * 200, 0.0, (256, 192)
    )
    np.testing.assert_allclose(
        affine.transform_points(matrix, keypoints),
        REFERENCE[f"decode_preds_shift{int(refine)}"],
        atol=5e-4,
    )
    np.testing.assert_array_equal(scores, REFERENCE["decode_scores"][..., 0])


def test_flip_back_equals_the_official_one():
    maps = channels_last(REFERENCE["decode_heatmaps"][1:2])
    expected = channels_last(REFERENCE["flip_back"])
    unshifted = heatmaps.flip_back(maps, FLIP, shift_one_pixel=False)
    np.testing.assert_array_equal(unshifted, expected)
    shifted = heatmaps.flip_back(maps, FLIP, shift_one_pixel=True)
    np.testing.assert_array_equal(shifted[:, :, 1:], expected[:, :, :-1])
    np.testing.assert_array_equal(shifted[:, :, 0], expected[:, :, 0])


# Margin: the Gaussian fits. Bounds are in crop pixels: the nearest heatmap pixel is at
# most 2 crop pixels away, and a symmetric target gives the quarter shift no direction.
@pytest.mark.parametrize(
    "codec, bound",
    [("msra", 2.0), ("msra_floor", 2.0), ("dark", 0.01), ("udp", 0.01)],
)
@pytest.mark.parametrize("crop_size, sigma", RECIPES)
def test_decoding_inverts_encoding(codec, bound, crop_size, sigma):
    keypoints = interior_keypoints(crop_size, margin=12 * sigma)
    targets, weights = heatmaps.encode(
        codec, keypoints, np.ones((32, 17)), crop_size, sigma
    )
    decoded, scores = heatmaps.decode(codec, targets, sigma=sigma)
    assert np.abs(decoded - keypoints).max() <= bound
    assert np.all(weights == 1)
    # The pixel nearest to the centre is at most half a pixel away in x and in y.
    assert np.min(scores) >= np.exp(-0.25 / sigma**2) - 1e-6


def test_msra_decodes_whole_heatmap_pixels_exactly():
    keypoints = 4.0 * np.round(interior_keypoints((256, 192), margin=4) / 4)
    targets, _ = heatmaps.encode("msra", keypoints, np.ones((32, 17)), (256, 192), 2.0)
    np.testing.assert_allclose(heatmaps.decode("msra", targets)[0], keypoints)


@pytest.mark.parametrize("codec", ["dark", "udp"])
@pytest.mark.parametrize("crop_size, sigma", RECIPES)
def test_cut_gaussians_near_the_edge_still_decode_closely(codec, crop_size, sigma):
    """The blur sees zeros past the edge, which pulls the peak away from it."""
    keypoints = interior_keypoints(crop_size, margin=8 * sigma)
    targets, _ = heatmaps.encode(codec, keypoints, np.ones((32, 17)), crop_size, sigma)
    decoded, _ = heatmaps.decode(codec, targets, sigma=sigma)
    assert np.abs(decoded - keypoints).max() < 0.2


@pytest.mark.parametrize("codec", heatmaps.CODECS)
def test_image_keypoints_survive_the_way_through_crop_and_heatmap(codec):
    count = 8
    generator = np.random.default_rng(0)
    center = generator.uniform(100, 300, (count, 2))
    size = generator.uniform(100, 200, (count, 1)) * [0.75, 1.0]
    rotation = generator.uniform(-40, 40, count)
    matrix = affine.crop_to_image_matrix(
        center, size, rotation, (256, 192), udp=codec == "udp"
    )
    keypoints = center[:, None] + generator.uniform(-15, 15, (count, 17, 2))
    in_crop = affine.transform_points(affine.invert_affine(matrix), keypoints)
    targets, _ = heatmaps.encode(codec, in_crop, np.ones((count, 17)), (256, 192), 2.0)
    decoded, _ = heatmaps.decode(codec, targets)
    back = affine.transform_points(matrix, decoded)
    largest_scale = size[:, 1].max() / 255
    quantisation = 2.0 * np.sqrt(2) if codec.startswith("msra") else 0.02
    distance = np.linalg.norm(back - keypoints, axis=-1)
    assert distance.max() <= quantisation * largest_scale + 1e-2


def test_codecs_place_the_last_heatmap_pixel_differently():
    maps = np.zeros((1, 64, 48, 1), np.float32)
    maps[0, 63, 47, 0] = 1.0
    for codec, expected in [
        ("msra", [188.0, 252.0]),
        ("msra_floor", [190.0, 254.0]),
        ("dark", [188.0, 252.0]),
        ("udp", [191.0, 255.0]),
    ]:
        keypoints, _ = heatmaps.decode(codec, maps, refine=False)
        np.testing.assert_allclose(keypoints[0, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("codec", ["dark", "udp"])
def test_exact_gaussians_peak_between_pixels(codec):
    targets, _ = heatmaps.encode(codec, [[81.0, 102.0]], [1.0], (256, 192), 2.0)
    if codec == "dark":
        x, y = 81.0 / 4, 102.0 / 4
    else:
        x, y = 81.0 * 47 / 191, 102.0 * 63 / 255
    rows, columns = np.mgrid[23:28, 18:23]
    expected = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)
    np.testing.assert_allclose(targets[23:28, 18:23, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("codec", heatmaps.CODECS)
def test_targets_end_three_sigma_from_the_nearest_pixel(codec):
    targets, _ = heatmaps.encode(codec, [[80.0, 100.0]], [1.0], (256, 192), 2.0)
    rows, columns = np.nonzero(targets[..., 0].numpy())
    assert (rows.min(), rows.max()) == (25 - 6, 25 + 6)
    assert (columns.min(), columns.max()) == (20 - 6, 20 + 6)


@pytest.mark.parametrize("codec", heatmaps.CODECS)
def test_weight_is_zero_when_unlabelled_or_out_of_reach(codec):
    keypoints = [
        [80.0, 100.0],  # labelled
        [80.0, 100.0],  # not labelled
        [-20.0, 100.0],  # outside, its window touches
        [-32.0, 100.0],  # its window ends one column before the first: still counts
        [-36.0, 100.0],  # its window ends two columns before the first
        [80.0, 290.0],
    ]
    visible = [2.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    if codec == "msra_floor":
        keypoints = np.add(keypoints, 2)  # Pixels reach half a pixel further.
    targets, weights = heatmaps.encode(codec, keypoints, visible, (256, 192), 2.0)
    np.testing.assert_array_equal(weights, [1, 0, 1, 1, 0, 0])
    np.testing.assert_array_equal(np.max(targets, (0, 1)) > 0, [1, 0, 1, 0, 0, 0])


@pytest.mark.parametrize("codec", heatmaps.CODECS)
def test_maps_without_a_positive_value_decode_to_the_origin(codec):
    maps = np.full((1, 64, 48, 2), -1.0, np.float32)
    maps[0, 20, 30, 0] = 0.0
    keypoints, scores = heatmaps.decode(codec, maps)
    np.testing.assert_array_equal(keypoints, np.zeros((1, 2, 2)))
    np.testing.assert_array_equal(scores, [[0.0, -1.0]])


def test_of_equal_maxima_the_first_in_row_major_order_counts():
    maps = np.zeros((1, 64, 48, 1), np.float32)
    for y, x in [(30, 10), (20, 40), (20, 7), (50, 3)]:
        maps[0, y, x] = 0.5
    keypoints, _ = heatmaps.decode("msra", maps, refine=False)
    np.testing.assert_array_equal(keypoints, [[[28.0, 80.0]]])


@pytest.mark.parametrize("codec", heatmaps.CODECS)
def test_flat_and_needle_maps_decode_to_finite_points_near_the_peak(codec):
    maps = np.ones((1, 64, 48, 3), np.float32)
    maps[..., 1:] = 0.0
    maps[0, 32, 24, 1] = 1.0
    maps[0, 32, 24, 2] = 1e-6
    keypoints, _ = heatmaps.decode(codec, maps)
    peaks, _ = heatmaps.decode(codec, maps, refine=False)
    np.testing.assert_allclose(keypoints, peaks, atol=0.01)


def numpy_taylor_decode(codec, channel, kernel_size):
    """Heatmap pixel (x, y) of one map, step by step as the two papers' code has it."""
    y, x = np.unravel_index(channel.argmax(), channel.shape)
    border = kernel_size // 2
    padded = cv2.GaussianBlur(np.pad(channel, border), (kernel_size, kernel_size), 0)
    blurred = padded[border:-border, border:-border]
    log_map = np.log(np.maximum(blurred * channel.max() / blurred.max(), 1e-3))
    height, width = channel.shape
    if codec == "dark":
        if not (1 < x < width - 2 and 1 < y < height - 2):
            return x, y
        at = lambda dx, dy: log_map[y + dy, x + dx]  # noqa: E731
        d_xx = (at(2, 0) - 2 * at(0, 0) + at(-2, 0)) / 4
        d_yy = (at(0, 2) - 2 * at(0, 0) + at(0, -2)) / 4
        d_xy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
    else:
        edged = np.pad(log_map, 1, mode="edge")
        at = lambda dx, dy: edged[1 + y + dy, 1 + x + dx]  # noqa: E731
        d_xx = at(1, 0) - 2 * at(0, 0) + at(-1, 0)
        d_yy = at(0, 1) - 2 * at(0, 0) + at(0, -1)
        corners = at(1, 1) + at(-1, -1) + 2 * at(0, 0)
        d_xy = (corners - at(1, 0) - at(-1, 0) - at(0, 1) - at(0, -1)) / 2
    gradient = [(at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2]
    hessian = np.array([[d_xx, d_xy], [d_xy, d_yy]])
    if np.linalg.eigvalsh(hessian).max() > -1e-4:
        return x, y
    return np.array([x, y]) - np.linalg.solve(hessian, gradient)


@pytest.mark.parametrize("codec", ["dark", "udp"])
@pytest.mark.parametrize("sigma, kernel_size", [(2.0, 11), (3.0, 17)])
@pytest.mark.parametrize("height", [1.0, 0.002])
def test_taylor_step_equals_a_loop_in_numpy(codec, sigma, kernel_size, height):
    maps = height * smooth_maps()
    keypoints, _ = heatmaps.decode(codec, maps, sigma=sigma)
    pixels = [
        [numpy_taylor_decode(codec, sample[..., k], kernel_size) for k in range(17)]
        for sample in maps
    ]
    scale = [191 / 47, 255 / 63] if codec == "udp" else [4.0, 4.0]
    np.testing.assert_allclose(keypoints, np.array(pixels) * scale, atol=0.02)
    peaks, _ = heatmaps.decode(codec, maps, refine=False)
    assert np.mean(np.abs(keypoints - peaks) > 0.1) > 0.5


@pytest.mark.parametrize("codec", ["dark", "udp"])
def test_peaks_on_the_border_equal_a_loop_in_numpy(codec):
    border = [(0, 0), (0, 24), (63, 24), (32, 0), (32, 47), (63, 47)]  # y, x
    maps = np.zeros((1, 64, 48, len(border)), np.float32)
    for channel, (y, x) in enumerate(border):
        maps[0, y, x, channel] = 0.5
    keypoints, _ = heatmaps.decode(codec, maps)
    pixels = [
        numpy_taylor_decode(codec, maps[0, ..., k], 11) for k in range(len(border))
    ]
    scale = [191 / 47, 255 / 63] if codec == "udp" else [4.0, 4.0]
    np.testing.assert_allclose(keypoints[0], np.array(pixels) * scale, atol=0.02)


def test_flipping_twice_is_the_identity():
    maps = smooth_maps(count=1)
    twice = maps
    for _ in range(2):
        twice = heatmaps.flip_back(twice, FLIP, shift_one_pixel=False)
    np.testing.assert_array_equal(twice, maps)


def mirrored_targets(codec, keypoints):
    """Targets of the mirrored crop: its pixel x shows pixel 191 - x."""
    mirrored = keypoints[:, FLIP] * [-1, 1] + [191, 0]
    return heatmaps.encode(codec, mirrored, np.ones((32, 17)), (256, 192), 2.0)[0]


def test_udp_targets_of_the_mirrored_crop_flip_back_exactly():
    keypoints = interior_keypoints((256, 192), margin=32)
    targets, _ = heatmaps.encode("udp", keypoints, np.ones((32, 17)), (256, 192), 2.0)
    back = heatmaps.flip_back(
        mirrored_targets("udp", keypoints), FLIP, shift_one_pixel=False
    )
    np.testing.assert_allclose(back, targets, atol=1e-5)


def test_msra_targets_of_the_mirrored_crop_flip_back_one_column_off():
    on_pixels = 4.0 * np.round(interior_keypoints((256, 192), margin=32) / 4)
    targets, _ = heatmaps.encode("msra", on_pixels, np.ones((32, 17)), (256, 192), 2.0)
    mirrored = mirrored_targets("msra", on_pixels)
    shifted = heatmaps.flip_back(mirrored, FLIP, shift_one_pixel=True)
    np.testing.assert_allclose(shifted, targets, atol=1e-6)
    unshifted = heatmaps.flip_back(mirrored, FLIP, shift_one_pixel=False)
    np.testing.assert_allclose(unshifted[:, :, :-1], targets[:, :, 1:], atol=1e-6)


def test_msra_floor_is_the_official_codec_of_faces():
    """HRNet-Facial-Landmark-Detection: `transform_pixel`, `get_preds`, `decode_preds`.

    There a landmark (x, y) of a crop of 256 pixels is that of a map of 64, truncated;
    the peak's pixel, moved by a quarter, and half a pixel more go back.
    """
    keypoints = np.array([[40.0, 43.9], [41.2, 80.0], [199.5, 0.4]])
    targets, _ = heatmaps.encode("msra_floor", keypoints, [1, 1, 1], (256, 256), 1.5)
    for index, (x, y) in enumerate((keypoints / 4).astype(int)):
        rows, columns = np.mgrid[:64, :64]
        far = np.maximum(abs(rows - y), abs(columns - x)) > 4
        expected = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 1.5**2))
        np.testing.assert_allclose(
            targets[..., index], np.where(far, 0, expected), atol=1e-6
        )
    maps = np.zeros((1, 64, 64, 1), np.float32)
    maps[0, 20, 10], maps[0, 20, 11], maps[0, 19, 10] = 1.0, 0.5, 0.4
    (decoded,), _ = heatmaps.decode("msra_floor", maps)
    np.testing.assert_allclose(decoded, [[4 * 10.75, 4 * 20.25]])
    # None is found where no number is positive.
    (decoded,), _ = heatmaps.decode("msra_floor", np.zeros_like(maps))
    np.testing.assert_array_equal(decoded, [[0, 0]])


def test_msra_floor_targets_of_the_mirrored_crop_flip_back_exactly():
    keypoints = np.floor(interior_keypoints((256, 192), margin=32))
    targets, _ = heatmaps.encode(
        "msra_floor", keypoints, np.ones((32, 17)), (256, 192), 2.0
    )
    mirrored = mirrored_targets("msra_floor", keypoints)
    maps = iter([mirrored, targets])
    averaged = heatmaps.average_with_mirrored(
        lambda _: next(maps), tf.zeros([32, 8, 8, 3]), FLIP, "msra_floor"
    )
    np.testing.assert_allclose(averaged, targets, atol=1e-6)


@pytest.mark.parametrize("codec", heatmaps.CODECS)
def test_encoding_runs_in_tf_data(codec):
    keypoints = interior_keypoints((64, 48), margin=0, count=3).astype(np.float32)
    dataset = tf.data.Dataset.from_tensor_slices(keypoints).map(
        lambda points: heatmaps.encode(codec, points, tf.ones([17]), (64, 48), 0.5)
    )
    assert dataset.element_spec[0] == tf.TensorSpec([16, 12, 17], tf.float32)
    batch, _ = heatmaps.encode(codec, keypoints, np.ones((3, 17)), (64, 48), 0.5)
    np.testing.assert_allclose([targets for targets, _ in dataset], batch, atol=1e-6)


@pytest.mark.parametrize("codec", heatmaps.CODECS)
def test_decode_in_a_graph_equals_eager_and_suits_mobile_gpus(codec):
    decode = tf.function(
        lambda maps: heatmaps.decode(codec, maps, reader=Masks),
        input_signature=[tf.TensorSpec([None, 64, 48, 17], tf.float32)],
    )
    graph = decode.get_concrete_function().graph
    used = {operation.type for operation in graph.get_operations()}
    assert not used & {"Gather", "GatherV2", "GatherNd", "Where", "SelectV2", "While"}
    assert all(
        tensor.shape.rank <= 4
        for operation in graph.get_operations()
        for tensor in operation.outputs
    )
    maps = smooth_maps(count=2)
    for in_graph, eager in zip(decode(maps), heatmaps.decode(codec, maps), strict=True):
        np.testing.assert_allclose(in_graph, eager, atol=1e-3)


@pytest.mark.parametrize("refine", [True, False])
@pytest.mark.parametrize("codec", heatmaps.CODECS)
def test_gathers_and_masks_decode_alike_to_the_bit(codec, refine):
    maps = np.concatenate(
        [
            smooth_maps(count=4),
            np.random.default_rng(0).normal(size=(4, 64, 48, 17)),
            # Several peaks are the highest; there are none; all are below 0.
            np.round(smooth_maps(count=2), 1),
            np.zeros((1, 64, 48, 17)),
            np.full((1, 64, 48, 17), -1.0),
            corner_maps(),
        ]
    ).astype(np.float32)
    decoded = [
        heatmaps.decode(codec, maps, refine=refine, reader=reader)
        for reader in (Gathers, Masks)
    ]
    for gathered, masked in zip(*decoded, strict=True):
        np.testing.assert_array_equal(gathered, masked)
    peaks = maps.reshape(len(maps), -1, 17)
    np.testing.assert_array_equal(decoded[0][1], peaks.max(axis=1))
    if not refine and codec == "msra":
        y, x = np.divmod(peaks.argmax(axis=1), 48)
        expected = 4.0 * np.stack([x, y], axis=-1) * (peaks.max(axis=1) > 0)[..., None]
        np.testing.assert_array_equal(decoded[0][0], expected)


def corner_maps():
    """Maps with a peak in each corner and in the middle of each side."""
    maps = np.zeros((1, 64, 48, 17), np.float32)
    places = [(y, x) for y in (0, 32, 63) for x in (0, 24, 47)]
    for keypoint, (y, x) in enumerate(places):
        maps[0, y, x, keypoint] = 1.0
    return maps


@pytest.mark.parametrize("codec", heatmaps.CODECS)
def test_half_precision_heatmaps_decode_in_float32(codec):
    maps = tf.cast(smooth_maps(count=1), tf.bfloat16)
    keypoints, scores = heatmaps.decode(codec, maps)
    assert keypoints.dtype == scores.dtype == tf.float32
    expected, _ = heatmaps.decode(codec, tf.cast(maps, tf.float32))
    np.testing.assert_array_equal(keypoints, expected)


def test_unknown_codec_is_refused():
    with pytest.raises(ValueError, match="'gaussian'.*msra, msra_floor, dark, udp"):
        heatmaps.encode("gaussian", [[1.0, 1.0]], [1.0], (256, 192), 2.0)
    with pytest.raises(ValueError, match="'gaussian'.*msra, msra_floor, dark, udp"):
        heatmaps.decode("gaussian", np.zeros((1, 64, 48, 1)))


def test_crop_size_that_is_no_multiple_of_the_stride_is_refused():
    with pytest.raises(ValueError, match=r"\(250, 192\).*stride 4"):
        heatmaps.encode("msra", [[1.0, 1.0]], [1.0], (250, 192), 2.0)
