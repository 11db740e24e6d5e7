"""`hrnet_tf.register`: HRNet in the Model Garden's own experiments."""


def register() -> None:
    """Registers HRNet's backbone, decoders, tasks and experiments with the Garden.

    After it, `backbone: {type: hrnet}` and `decoder: {type: hrnetv2}` work in YAML of
    the Garden's own experiments, and `hrnet_pose_coco` and the others are known by
    name. `import hrnet_tf.registry_imports` does the same.

    Examples:
        >>> import hrnet_tf
        >>> hrnet_tf.register()
        >>> from official.core import exp_factory
        >>> exp_factory.get_exp_config("hrnet_pose_coco").task.codec.name
        'msra'
    """
    from hrnet_tf import registry_imports  # noqa: F401
