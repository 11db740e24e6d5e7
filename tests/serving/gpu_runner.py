"""Runs a .tflite file on the GPU accelerator alone, and on the CPU.

    gpu_runner.py FILE HEIGHT WIDTH [TYPE_OF_FIRST_OUTPUT,...]

Height and width are the input's; outputs are float32 if nothing is said.
The last line printed is JSON: whether all of the graph was accelerated, and the
greatest difference of every output. A program of its own, since drivers can take a
process down.
"""

import json
import sys

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.hardware_accelerator import HardwareAccelerator

path, height, width = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
types = sys.argv[4].split(",") if len(sys.argv) > 4 else []
crop = np.random.default_rng(4).integers(0, 256, height * width * 3, np.uint8)


def run(model: CompiledModel) -> list[np.ndarray]:
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    inputs[0].write(crop)
    model.run_by_index(0, inputs, outputs)
    found = []
    for place, buffer in enumerate(outputs):
        dtype = np.dtype(types[place] if types else np.float32)
        size = model.get_output_buffer_requirements(place, 0)["buffer_size"]
        values = buffer.read(size // dtype.itemsize, dtype)
        found.append(values.astype(np.float32))
    return found


# The GPU alone: with the CPU to fall back on, everything is said to be accelerated.
gpu = CompiledModel.from_file(path, HardwareAccelerator.GPU)
cpu = CompiledModel.from_file(path, HardwareAccelerator.CPU)
differences = [
    float(np.abs(on_gpu[: on_cpu.size] - on_cpu).max())
    for on_gpu, on_cpu in zip(run(gpu), run(cpu), strict=True)
]
answer = {"accelerated": gpu.is_fully_accelerated(), "differences": differences}
print(json.dumps(answer), flush=True)
