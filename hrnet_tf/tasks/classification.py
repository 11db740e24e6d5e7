"""The Garden's image classification task, which here refuses labels of no class."""

from typing import Any

import tensorflow as tf
from official.vision.configs import image_classification as classification_config
from official.vision.tasks import image_classification

from hrnet_tf.data.records.checks import (
    Check,
    checked,
    checked_beside,
    class_labels,
    is_within,
    require,
)
from hrnet_tf.data.records.examples import read_image


class ClassificationTask(image_classification.ImageClassificationTask):
    """The Garden's task, of the Garden's configurations; see `tasks.garden`."""

    def build_inputs(
        self,
        params: classification_config.DataConfig,
        input_context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        dataset = super().build_inputs(params, input_context)
        _, labels = dataset.element_spec
        if labels.dtype.is_integer:
            return dataset.map(self._with_right_labels, tf.data.AUTOTUNE)
        # In shares of all classes, a label of no class is not seen any more.
        return checked_beside(dataset, params, self._check, input_context)

    def _with_right_labels(
        self, images: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        is_class = is_within(labels, 0, self.task_config.model.num_classes - 1)
        with tf.control_dependencies([require({"a label names no class": is_class})]):
            return tf.identity(images), labels

    def read_record(
        self, data: classification_config.DataConfig, serialized: tf.Tensor
    ) -> Any:
        """Reads one record, in graph, as the input pipeline does; see `EvaluatedTask`.

        The names of its fields are those of `train_data`, whatever the data.
        """
        del data
        serialized = checked(serialized, self._check)
        return read_image(self.task_config.train_data.image_field_key, serialized)

    @property
    def _check(self) -> Check:
        data = self.task_config.train_data
        return class_labels(
            data.label_field_key,
            self.task_config.model.num_classes,
            data.is_multilabel,
        )
