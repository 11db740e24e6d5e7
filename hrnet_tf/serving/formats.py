"""The formats that models are exported in; importing this imports no TensorFlow."""

FORMATS = ("saved_model", "tflite")
# Each with the formats that have it.
QUANTIZATIONS = {
    "none": FORMATS,
    "float16": ("tflite",),
    "dynamic": ("tflite",),
    "int8": ("tflite",),
    "bfloat16": ("saved_model",),
}

# What an exported model may lose of the checkpoint's AP, PCK or mIoU.
MAX_LOSS = {
    "none": 0.002,
    "float16": 0.002,
    "dynamic": 0.01,
    "int8": 0.01,
    "bfloat16": 0.01,
}
# Of an error such as NME, which are ten times as small, a tenth of that.
OF_ERRORS = 0.1

# The number of layers that stay in float in 8-bit files, where it is to be found out.
AUTO = "auto"

# How many boxes a RetinaNet's .tflite file compares, unless told, and the most: memory
# grows with the square.
CANDIDATES = 1024
MAX_CANDIDATES = 4096

# The most inputs that a .tflite file takes at once.
MAX_BATCH_SIZE = 256
