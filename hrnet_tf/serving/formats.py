"""The formats that models are exported in; importing this imports no TensorFlow."""

FORMATS = ("saved_model", "tflite")
QUANTIZATIONS = ("none", "float16", "dynamic", "int8")

# What an exported model may lose of the checkpoint's AP or mIoU.
MAX_LOSS = {"none": 0.002, "float16": 0.002, "dynamic": 0.01, "int8": 0.01}
