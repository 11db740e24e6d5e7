"""The bytes of image files, checked by decoding them."""

import tensorflow as tf

from hrnet_tf.data.files.faults import Unusable

_JPEG_SIGNATURE, _PNG_SIGNATURE = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"


def read_image_file(path: str, identity: str = "") -> tuple[bytes, int, int]:
    """Reads a JPEG or PNG file that decodes completely, or raises `Unusable`.

    Messages show `identity` after the path, such as " (image 7)".

    Returns:
        Its bytes, and the image's height and width, EXIF orientation ignored.
    """
    encoded = read_file(path, "image", identity)
    if not encoded.startswith((_JPEG_SIGNATURE, _PNG_SIGNATURE)):
        raise Unusable(
            "not JPEG or PNG",
            f"{path}{identity} is neither a JPEG nor a PNG file; convert it to one of "
            "these.",
        )
    try:
        # Training decodes with the same function: what passes here cannot stop a run
        # there. It refuses truncated files, where others fill the missing rows with
        # grey.
        pixels = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    except tf.errors.InvalidArgumentError:
        raise Unusable(
            "corrupt image",
            f"{path}{identity} is damaged or truncated: it does not decode.",
        ) from None
    height, width = pixels.shape[:2]
    return encoded, height, width


def read_file(path: str, kind: str, identity: str = "") -> bytes:
    """Reads a file, or raises `Unusable`; faults are counted by its `kind`: "image"."""
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            return file.read()
    except tf.errors.NotFoundError:
        raise Unusable(f"missing {kind}", f"{path}{identity} does not exist.") from None
    except tf.errors.OpError as error:
        raise Unusable(
            f"unreadable {kind}", f"{path}{identity} cannot be read: {error.message}."
        ) from None
