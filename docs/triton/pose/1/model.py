"""Answers with the signature serving_default of the SavedModel beside this file."""

from pathlib import Path

import tensorflow as tf
import triton_python_backend_utils as triton

# What requests that make no sense raise; they are answered with its message.
FAULTS = (tf.errors.OpError, ValueError, TypeError)


class TritonPythonModel:
    """What Triton's Python backend looks for."""

    def initialize(self, args):
        """Loads model.savedmodel."""
        folder = Path(args["model_repository"], args["model_version"])
        self.model = tf.saved_model.load(str(folder / "model.savedmodel"))

    def execute(self, requests):
        """Answers some requests, one by one."""
        return [self.answer(request) for request in requests]

    def answer(self, request):
        """Calls the model."""
        tensors = {t.name(): tf.constant(t.as_numpy()) for t in request.inputs()}
        try:
            outputs = self.model.signatures["serving_default"](**tensors)
        except FAULTS as error:
            return triton.InferenceResponse(error=triton.TritonError(str(error)))
        return triton.InferenceResponse(
            [triton.Tensor(name, output.numpy()) for name, output in outputs.items()]
        )
