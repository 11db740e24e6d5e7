"""Decodes images in TensorFlow to the very pixels that OpenCV gives."""

import tensorflow as tf


def decode_image(encoded: tf.Tensor) -> tf.Tensor:
    """uint8 [H, W, 3], RGB, of a JPEG, PNG, BMP or GIF file (its first frame).

    EXIF orientation is ignored, as in training.

    `tf.io.decode_image` takes the fast transform for JPEG files, whose pixels differ
    from those of other decoders. The accurate one takes as long, and is what the
    official code trained and evaluated with.
    """
    image = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.decode_jpeg(encoded, 3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(encoded, 3, expand_animations=False),
    )
    return tf.ensure_shape(image, [None, None, 3])
