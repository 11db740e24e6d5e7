"""HRNet in TensorFlow: pose, segmentation and detection on the Model Garden."""

__version__ = "0.2.0"
