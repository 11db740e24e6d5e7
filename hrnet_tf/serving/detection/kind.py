"""Detection: the objects in an image, their boxes and perhaps their masks."""

from hrnet_tf.configs.detection import MaskRCNNTask, RetinaNetTask
from hrnet_tf.serving.detection.exporter import DetectionExporter
from hrnet_tf.serving.kind import Kind
from hrnet_tf.tasks.detection import DetectionTask
from hrnet_tf.training.validation import detection as validation

DETECTION = Kind(
    name="detection",
    mistakes=validation.mistakes,
    report=DetectionTask.report,
    configs=(MaskRCNNTask, RetinaNetTask),
    experiments=("hrnet_maskrcnn_coco", "hrnet_retinanet_coco"),
    exporter=DetectionExporter,
)
