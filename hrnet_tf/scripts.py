"""The commands as programs: hrnet-tf-train is python -m hrnet_tf.train.

pip puts them beside the Python that the package is installed for; the entry points are
in setup.cfg.
"""

import importlib
import sys
from collections.abc import Callable


def _program(module: str) -> Callable[[], int]:
    def run() -> int:
        return importlib.import_module(module).main(sys.argv)

    return run


train = _program("hrnet_tf.train")
export = _program("hrnet_tf.export")
join = _program("hrnet_tf.join")
predict = _program("hrnet_tf.predict")
batch = _program("hrnet_tf.batch")
demo = _program("hrnet_tf.demo")
convert_weights = _program("hrnet_tf.convert_weights")
model_summary = _program("hrnet_tf.model_summary")
data_cityscapes = _program("hrnet_tf.data.cityscapes")
data_coco_instances = _program("hrnet_tf.data.coco_instances")
data_coco_pose = _program("hrnet_tf.data.coco_pose")
data_faces = _program("hrnet_tf.data.faces")
data_import_annotations = _program("hrnet_tf.data.import_annotations")
data_inspect = _program("hrnet_tf.data.inspect")
data_lip = _program("hrnet_tf.data.lip")
data_mpii = _program("hrnet_tf.data.mpii")
data_pascal_context = _program("hrnet_tf.data.pascal_context")
data_segmentation_folder = _program("hrnet_tf.data.segmentation_folder")
data_sigmas = _program("hrnet_tf.data.sigmas")
data_synthetic = _program("hrnet_tf.data.synthetic.__main__")
