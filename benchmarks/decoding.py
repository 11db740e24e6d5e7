"""Heatmaps of 1,000 people to keypoints: our decoding beside loops in NumPy.

    python benchmarks/decoding.py --cores=1

For every codec both our ways of reading heatmaps take part, the one of CPUs and servers
and the one that mobile GPUs can run. Their peer is what the codec's authors publish,
written after its description: for msra official lib/core/inference.py `get_max_preds`
and `get_final_preds`, for dark and udp those of their papers, with cv2.GaussianBlur.
Heatmaps come in batches, ours as TensorFlow has them, [N, h, w, K], the peers' as torch
has them, [N, K, h, w], and keypoints are in crop pixels. Largest differences from the
peer's keypoints are printed, too.
"""

import functools
from collections.abc import Callable, Sequence

import cv2
import flag_values
import measuring
import numpy as np

CODECS = ("msra", "dark", "udp")
READERS = ("Gathers", "Masks")
HEIGHT, WIDTH, NUM_KEYPOINTS = 64, 48, 17
STRIDE, SIGMA = 4, 2.0
# A keypoint further than this from the peer's is another peak, or not refined.
_FAR = 0.01


def main() -> None:
    """Measures all codecs and prints a table."""
    parser = flag_values.parser(__doc__, rounds=5)
    parser.add_argument("--people", type=flag_values.count, default=1000)
    parser.add_argument(
        "--batch", type=flag_values.count, default=32, help="heatmaps decoded together"
    )
    parser.add_argument(
        "--codecs", type=flag_values.some_of(CODECS), default=list(CODECS)
    )
    arguments = parser.parse_args()
    measuring.pin(arguments.cores)
    rows, summary = [], []
    for codec in arguments.codecs:
        given = {"codec": codec, "people": arguments.people, "batch": arguments.batch}
        contenders = {
            reader: measuring.Contender("ours", {**given, "reader": reader})
            for reader in READERS
        }
        contenders["NumPy"] = measuring.Contender("numpy", given)
        rounds = measuring.take_turns(__file__, contenders, arguments.rounds)
        for reader in READERS:
            rows.append(_row(rounds, codec, reader))
        work = f"decode {arguments.people} people, {codec}"
        summary.append(measuring.in_seconds(work, rounds, "Gathers", "NumPy", digits=3))
    measuring.tell("Heatmaps to keypoints", rows, vars(arguments), summary)


def _row(rounds: measuring.Rounds, codec: str, reader: str) -> dict[str, object]:
    ours = np.array(rounds.of[reader][0]["keypoints"])
    distance = np.abs(ours - rounds.of["NumPy"][0]["keypoints"]).max(axis=-1)
    return {
        "codec": codec,
        "reader": reader,
        "ours, s": rounds.median(reader),
        "NumPy, s": rounds.median("NumPy"),
        "times as fast": rounds.times_as_fast(reader, "NumPy"),
        "ours, CPU s": rounds.median(reader, "cpu_seconds"),
        "NumPy, CPU s": rounds.median("NumPy", "cpu_seconds"),
        "same within 0.01 pixels": f"{100 * (distance <= _FAR).mean():.1f} %",
    }


def ours(codec: str, people: int, batch: int, reader: str) -> measuring.Work:
    """Our decoding as a graph, as in evaluation and in exported models."""
    import tensorflow as tf

    from hrnet_tf.ops import heatmaps, map_readers

    decode = tf.function(
        functools.partial(
            heatmaps.decode,
            codec,
            sigma=SIGMA,
            reader=getattr(map_readers, reader),
        ),
        input_signature=[tf.TensorSpec([None, HEIGHT, WIDTH, NUM_KEYPOINTS])],
    )
    batches = [
        tf.constant(maps.transpose(0, 2, 3, 1)) for maps in random_maps(people, batch)
    ]
    return lambda: _told([decode(maps)[0].numpy() for maps in batches])


def numpy(codec: str, people: int, batch: int) -> measuring.Work:
    """What the codec's authors publish."""
    cv2.setNumThreads(1)
    batches = random_maps(people, batch)
    decode = DECODERS[codec]
    return lambda: _told([decode(maps) for maps in batches])


def _told(keypoints: Sequence[np.ndarray]) -> dict[str, object]:
    # Of the first people, to compare.
    return {"keypoints": keypoints[0].tolist()}


def random_maps(people: int, batch: int) -> list[np.ndarray]:
    """Batches [N, K, h, w] of Gaussians on some noise, as a trained network's.

    None is so near the border that how a blur goes on there matters.
    """
    rng = np.random.default_rng(0)
    rows = np.arange(HEIGHT, dtype=np.float32)[:, np.newaxis]
    columns = np.arange(WIDTH, dtype=np.float32)
    batches = []
    for first in range(0, people, batch):
        shape = min(batch, people - first), NUM_KEYPOINTS
        x, y = (
            rng.uniform(8, side - 9, shape).astype(np.float32)[..., None, None]
            for side in (WIDTH, HEIGHT)
        )
        peak = rng.uniform(0.3, 1.0, shape).astype(np.float32)[..., None, None]
        squares = (columns - x) ** 2 + (rows - y) ** 2
        maps = peak * np.exp(-squares / np.float32(2 * SIGMA**2))
        noise = rng.normal(0, 0.005, maps.shape).astype(np.float32)
        batches.append(
            maps + cv2.blur(noise.reshape(-1, WIDTH), (3, 3)).reshape(maps.shape)
        )
    return batches


# ---- the peers ----


def maximum_positions(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position of each map's maximum, float32 [N, K, 2], and its value [N, K, 1]."""
    count, joints, _, width = maps.shape
    flat = maps.reshape(count, joints, -1)
    place = np.argmax(flat, 2).reshape(count, joints, 1)
    value = np.amax(flat, 2).reshape(count, joints, 1)
    found = np.tile(place, (1, 1, 2)).astype(np.float32)
    found[:, :, 0] = found[:, :, 0] % width
    found[:, :, 1] = np.floor(found[:, :, 1] / width)
    return found * np.tile(value > 0.0, (1, 1, 2)).astype(np.float32), value


def decode_msra(maps: np.ndarray) -> np.ndarray:
    """The official quarter pixel towards the larger neighbour, in a loop."""
    found, _ = maximum_positions(maps)
    for person, joint in np.ndindex(found.shape[:2]):
        one = maps[person, joint]
        x = int(np.floor(found[person, joint, 0] + 0.5))
        y = int(np.floor(found[person, joint, 1] + 0.5))
        if 1 < x < WIDTH - 1 and 1 < y < HEIGHT - 1:
            slope = np.array(
                [one[y, x + 1] - one[y, x - 1], one[y + 1, x] - one[y - 1, x]]
            )
            found[person, joint] += np.sign(slope) * 0.25
    return found * STRIDE


def decode_dark(maps: np.ndarray) -> np.ndarray:
    """DARK: maps are blurred one by one, then one Taylor step for each."""
    found, _ = maximum_positions(maps)
    logs = np.log(np.maximum(_blur_padded(maps, 11), 1e-10))
    for person, joint in np.ndindex(found.shape[:2]):
        found[person, joint] = _taylor(logs[person, joint], found[person, joint])
    return found * STRIDE


def _blur_padded(maps: np.ndarray, kernel: int) -> np.ndarray:
    """Every map blurred with zeros around it, its maximum kept."""
    border = (kernel - 1) // 2
    blurred = np.empty_like(maps)
    for person, joint in np.ndindex(maps.shape[:2]):
        one = maps[person, joint]
        padded = np.zeros((HEIGHT + 2 * border, WIDTH + 2 * border), np.float32)
        padded[border:-border, border:-border] = one
        padded = cv2.GaussianBlur(padded, (kernel, kernel), 0)
        inner = padded[border:-border, border:-border]
        blurred[person, joint] = inner * (one.max() / inner.max())
    return blurred


def _taylor(one: np.ndarray, position: np.ndarray) -> np.ndarray:
    x, y = int(position[0]), int(position[1])
    if not (1 < x < WIDTH - 2 and 1 < y < HEIGHT - 2):
        return position
    dx = 0.5 * (one[y, x + 1] - one[y, x - 1])
    dy = 0.5 * (one[y + 1, x] - one[y - 1, x])
    dxx = 0.25 * (one[y, x + 2] - 2 * one[y, x] + one[y, x - 2])
    dyy = 0.25 * (one[y + 2, x] - 2 * one[y, x] + one[y - 2, x])
    dxy = 0.25 * (
        one[y + 1, x + 1] - one[y - 1, x + 1] - one[y + 1, x - 1] + one[y - 1, x - 1]
    )
    if dxx * dyy - dxy**2 == 0:
        return position
    hessian = np.array([[dxx, dxy], [dxy, dyy]])
    return position - np.linalg.inv(hessian) @ np.array([dx, dy])


def decode_udp(maps: np.ndarray) -> np.ndarray:
    """UDP: maps are blurred one by one, then one Taylor step for all at once."""
    found, _ = maximum_positions(maps)
    blurred = np.empty_like(maps)
    for person, joint in np.ndindex(maps.shape[:2]):
        blurred[person, joint] = cv2.GaussianBlur(maps[person, joint], (11, 11), 0)
    logs = np.log(np.clip(blurred, 0.001, 50))
    padded = np.pad(logs, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    flat = padded.reshape(*padded.shape[:2], -1)
    stride = WIDTH + 2
    middle = ((found[..., 1] + 1) * stride + found[..., 0] + 1).astype(np.int64)

    def at(step: int) -> np.ndarray:
        return np.take_along_axis(flat, (middle + step)[..., np.newaxis], 2)[..., 0]

    center, right, left, below, above = at(0), at(1), at(-1), at(stride), at(-stride)
    dx, dy = 0.5 * (right - left), 0.5 * (below - above)
    dxx, dyy = right - 2 * center + left, below - 2 * center + above
    dxy = 0.5 * (
        at(stride + 1) - right - below + 2 * center - left - above + at(-stride - 1)
    )
    hessian = np.stack([np.stack([dxx, dxy], -1), np.stack([dxy, dyy], -1)], -2)
    inverse = np.linalg.inv(hessian + np.finfo(np.float32).eps * np.eye(2))
    steps = np.einsum("nkij,nkj->nki", inverse, np.stack([dx, dy], axis=-1))
    scale = np.array([WIDTH * STRIDE - 1, HEIGHT * STRIDE - 1]) / [
        WIDTH - 1,
        HEIGHT - 1,
    ]
    return (found - steps) * scale


DECODERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "msra": decode_msra,
    "dark": decode_dark,
    "udp": decode_udp,
}

if __name__ == "__main__":
    measuring.start(main, {"ours": ours, "numpy": numpy})
