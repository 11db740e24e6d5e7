"""Runs a .tflite file on the processor of the Python that runs this.

    run_tflite.py MODEL OUTPUTS.npz [--inputs=INPUTS.npz] [--compare=OTHER.npz]

INPUTS.npz has an array for each of the model's inputs, by name, with one example after
the other along a first axis of its own: `image`, uint8 [N, 1, H, W, 3]. Without it, the
inputs are noise, always the same. OUTPUTS.npz gets the outputs in the same form.
OTHER.npz is one written before, on another processor; the differences are printed.
"""

import argparse

import numpy as np
from ai_edge_litert.interpreter import Interpreter

NUM_EXAMPLES = 8


def noise(inputs: dict[str, dict]) -> dict[str, np.ndarray]:
    """Examples of the shapes and types of `inputs`, with integers from 0 to 255."""
    generator = np.random.default_rng(0)
    return {
        name: generator.integers(0, 256, [NUM_EXAMPLES, *tensor["shape"]]).astype(
            tensor["dtype"]
        )
        for name, tensor in inputs.items()
    }


def print_differences(
    outputs: dict[str, np.ndarray], others: dict[str, np.ndarray]
) -> None:
    """Prints, for each output, how many of its numbers differ and by how much."""
    for name, values in outputs.items():
        # Of classes, too, whose numbers of 8 bits have no sign.
        differences = np.abs(values.astype(float) - others[name])
        print(
            f"{name}: {np.count_nonzero(differences)} of {values.size} numbers differ, "
            f"by at most {differences.max():.2g}; all lie between {values.min():.2g} "
            f"and {values.max():.2g}"
        )


parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("outputs")
parser.add_argument("--inputs")
parser.add_argument("--compare")
arguments = parser.parse_args()

run = Interpreter(arguments.model, num_threads=1).get_signature_runner()
if arguments.inputs:
    inputs = dict(np.load(arguments.inputs))
else:
    inputs = noise(run.get_input_details())
examples = [
    # Outputs are views of memory that the next run writes.
    {name: np.copy(array) for name, array in run(**example).items()}
    for example in (
        dict(zip(inputs, arrays, strict=True))
        for arrays in zip(*inputs.values(), strict=True)
    )
]
outputs = {
    name: np.stack([example[name] for example in examples]) for name in examples[0]
}
np.savez(arguments.outputs, **outputs)
if arguments.compare:
    print_differences(outputs, dict(np.load(arguments.compare)))
