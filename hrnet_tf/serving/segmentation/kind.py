"""Segmentation: the class of every pixel of an image."""

from hrnet_tf.configs.segmentation import SegmentationTask as SegmentationConfig
from hrnet_tf.serving.kind import Kind
from hrnet_tf.serving.segmentation.exporter import SegmentationExporter
from hrnet_tf.tasks.segmentation import SegmentationTask
from hrnet_tf.training.validation import segmentation as validation

SEGMENTATION = Kind(
    name="segmentation",
    mistakes=validation.mistakes,
    report=SegmentationTask.report,
    configs=(SegmentationConfig,),
    experiments=("hrnet_seg_custom",),
    exporter=SegmentationExporter,
)
