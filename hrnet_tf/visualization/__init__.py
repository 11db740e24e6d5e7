"""Pictures for people to look at: skeletons, objects, heatmaps and classes on images.

Images are uint8 RGB arrays [height, width, 3]. Keypoints are (x, y, score) in pixels of
the image that is drawn on; pixel centres have whole numbers. No function changes its
inputs.
"""

from hrnet_tf.visualization.canvas import image_grid, write_image, write_labels
from hrnet_tf.visualization.instances import compare_instances, draw_instances
from hrnet_tf.visualization.labels import compare_labels, draw_labels
from hrnet_tf.visualization.skeletons import (
    compare_skeletons,
    draw_heatmaps,
    draw_skeletons,
)

__all__ = [
    "compare_instances",
    "compare_labels",
    "compare_skeletons",
    "draw_heatmaps",
    "draw_instances",
    "draw_labels",
    "draw_skeletons",
    "image_grid",
    "write_image",
    "write_labels",
]
