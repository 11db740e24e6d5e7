"""What is looked at, and how."""

import dataclasses

from hrnet_tf.data.files.images import DEFAULT_RULES, ImageRules


@dataclasses.dataclass(frozen=True)
class Options:
    """What the flags of `hrnet_tf.data.inspect` of the same names say."""

    records: str | None = None
    annotations: str | None = None
    image_dir: str = ""
    category: str | None = None
    area_from: str | None = None
    include_masks: bool = True
    rules: ImageRules = DEFAULT_RULES
    skeleton: str | None = None
    label_set: str | None = None
    experiment: str | None = None
    config_file: tuple[str, ...] = ()
    params_override: tuple[str, ...] = ()
    num_examples: int = 10
    num_rows: int = 8
    num_augmented: int = 5
    num_doubtful: int = 24
    seed: int = 0

    @property
    def has_configuration(self) -> bool:
        """Whether a configuration is given."""
        return bool(self.experiment or self.config_file or self.params_override)
