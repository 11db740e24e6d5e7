"""Small videos for tests, and what they show."""

import struct

import numpy as np

from hrnet_tf.data.files import videos
from hrnet_tf.data.files.video_writing import VideoWriter


def write_film(path, levels, times=None, rate=10.0, size=(48, 64)):
    """Writes a grey frame of each level, at each of the times."""
    times = [number / rate for number in range(len(levels))] if times is None else times
    with VideoWriter(str(path), rate) as writer:
        for level, seconds in zip(levels, times, strict=True):
            writer.write(np.full((*size, 3), level, np.uint8), seconds)
    return str(path)


def read_film(path):
    """The info of a video, the times of its frames, and their mean levels."""
    with videos.open_video(str(path)) as video:
        frames = [(seconds, image.mean()) for seconds, image in video]
    times, levels = zip(*frames, strict=True)
    return video.info, list(times), list(levels)


def write_sound(path, frames=20, rate=10.0, codec="aac", suffix_format=None):
    """Writes grey frames with a tone as long as they."""
    import av

    with av.open(str(path), "w", format=suffix_format) as container:
        video = container.add_stream("mpeg4", rate=round(rate))
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream(codec, rate=44100)
        for number in range(frames):
            image = np.full((48, 64, 3), 10 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(video.encode(frame))
        tone = np.sin(np.arange(int(44100 * frames / rate)) * 0.06).astype(np.float32)
        for start in range(0, len(tone) - 1023, 1024):
            piece = tone[np.newaxis, start : start + 1024] / 4
            if codec != "aac":
                piece = (piece * 32767).astype(np.int16)
            layout, kind = "mono", "fltp" if codec == "aac" else "s16"
            frame = av.AudioFrame.from_ndarray(piece, format=kind, layout=layout)
            frame.sample_rate, frame.pts = 44100, start
            container.mux(sound.encode(frame))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return str(path)


def turn_film(path, degrees):
    """Says in an MP4 file that it is to be shown turned clockwise, as phones do."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4
    matrix = {
        90: (0, 1, 0, -1, 0, 0),
        180: (-1, 0, 0, 0, -1, 0),
        270: (0, -1, 0, 1, 0, 0),
    }[degrees]
    one = 1 << 16
    numbers = [value * one for value in matrix] + [0, 0, 1 << 30]
    # After version, flags, five times and numbers, and four short ones.
    offset = place + 4 + 20 + 8 + 8
    content[offset : offset + 36] = struct.pack(">9i", *numbers)
    path.write_bytes(content)
