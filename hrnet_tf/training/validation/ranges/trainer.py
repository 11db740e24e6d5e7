"""Ranges of `trainer` and `runtime`: schedules, intervals, optimizers, devices.

Keys are ends of dotted paths; the longest one that a path ends with counts.
"""

import tensorflow as tf

from hrnet_tf.training.validation.ranges.kinds import (
    ANY,
    COUNT,
    NAME,
    NOT_NEGATIVE,
    POSITIVE,
    REGULAR_EXPRESSION,
    SEED,
    SHARE,
    SHARE_BELOW_1,
    SOME,
    Range,
    between,
    either,
    matching,
    one_of,
    only,
)

# A million examples for each of so many steps are still counted by 64-bit integers.
STEPS = between(0, 10**12)
INTERVAL = between(1, 10**12)
# Files that a run keeps in its model directory, where folders may not stand.
_TAKEN = r"(?!(checkpoint|(params\.yaml|[a-z]+\.json|[a-z]+\.png|ckpt-.*))(/|$))"
_PART = r"(?!\.{1,2}(/|$))[A-Za-z0-9_.-]{1,100}"
_SUBFOLDER = matching(
    rf"{_TAKEN}{_PART}(/{_PART})*",
    "a folder in the model directory, with a name of letters, digits, _, - and . that "
    "is no file's of a run",
)
_STRATEGY = one_of(
    [
        *("off", "one_device", "mirrored", "multi_worker_mirrored"),
        *("parameter_server", "tpu"),
    ]
).in_any_case()
_OFFSET = between(-(10**12), 10**12)
_RATE = between(1e-15, 1e6)
# At 1, a moving average never moves.
_DECAY = SHARE_BELOW_1

TRAINER: dict[str, Range] = {
    "trainer.steps_per_loop": SOME,
    "trainer.summary_interval": INTERVAL,
    "trainer.checkpoint_interval": INTERVAL,
    "trainer.validation_interval": INTERVAL,
    "trainer.train_steps": STEPS,
    "trainer.validation_steps": either(one_of([-1]), SOME),
    "trainer.max_to_keep": between(1, 10000),
    "trainer.continuous_eval_timeout": between(1, 10**9),
    "trainer.best_checkpoint_export_subdir": either(_SUBFOLDER, matching("", "empty")),
    "trainer.best_checkpoint_eval_metric": ANY,
    "trainer.best_checkpoint_metric_comp": one_of(["higher", "lower"]),
    "trainer.validation_summary_subdir": _SUBFOLDER,
    # An infinite bound could not be written as a number.
    "trainer.loss_upper_bound": between(1e-15, 1e38),
    "trainer.recovery_begin_steps": STEPS,
    "trainer.recovery_max_trials": between(-1, 10**6),
    "trainer.profile_steps": INTERVAL.of(0, 2),
    "trainer.seed": between(0, 2**32 - 1),
    "trainer.eval_tf_while_loop": only(
        False, "evaluations read their data to the end, and collect what they predict"
    ),
}

OPTIMIZERS: dict[str, Range] = {
    "optimizer_config.optimizer.type": ANY,
    "optimizer_config.learning_rate.type": ANY,
    "optimizer_config.warmup.type": ANY,
    "name": NAME,
    # Optimizers.
    "clipnorm": between(1e-15, 1e38),
    "clipvalue": between(1e-15, 1e38),
    "global_clipnorm": between(1e-15, 1e38),
    "gradient_clip_norm": between(0, 1e38),  # At 0, it clips nothing.
    "momentum": _DECAY,
    "beta_1": _DECAY,
    "beta_2": _DECAY,
    "beta1": _DECAY,
    "rho": _DECAY,
    "decay": NOT_NEGATIVE,
    # At 0, the first gradient of 0 is divided by 0.
    "epsilon": between(1e-30, 1e6),
    "epsilon1": between(1e-38, 1e6),
    "epsilon2": between(1e-30, 1e6),
    "epsilon_1": between(1e-38, 1e6),
    "epsilon_2": between(1e-30, 1e6),
    "eeta": POSITIVE,
    "weight_decay": NOT_NEGATIVE,
    "weight_decay_rate": NOT_NEGATIVE,
    "weight_decay_type": one_of(["inner", "outer"]),
    "include_in_weight_decay": REGULAR_EXPRESSION,
    "exclude_from_weight_decay": REGULAR_EXPRESSION,
    "exclude_from_layer_adaptation": REGULAR_EXPRESSION,
    "include_in_sparse_layer_adaptation": REGULAR_EXPRESSION,
    "initial_accumulator_value": NOT_NEGATIVE,
    "sparse_layer_learning_rate": _RATE,
    "norm_type": ANY,
    "ratio_clip_norm": between(1e-15, 1e38),
    "adafactor.decay_rate": SHARE,
    "step_offset": COUNT,
    "clipping_threshold": POSITIVE,
    "min_dim_size_to_factor": SOME,
    "beta_2_decay": between(-10, 0),
    "clip_threshold": POSITIVE,
    "ema.average_decay": SHARE_BELOW_1,
    "ema.start_step": STEPS,
    "differential_privacy_config.clipping_norm": between(1e-15, 1e38),
    "differential_privacy_config.noise_multiplier": NOT_NEGATIVE,
    # Learning rates.
    "learning_rate": _RATE,
    "initial_learning_rate": _RATE,
    "pre_offset_learning_rate": _RATE,
    "end_learning_rate": NOT_NEGATIVE,
    "warmup_learning_rate": NOT_NEGATIVE,
    "warmup_steps": STEPS,
    "boundaries": _OFFSET,
    "values": NOT_NEGATIVE,
    "offset": _OFFSET,
    "decay_steps": INTERVAL,
    "total_decay_steps": INTERVAL,
    "exponential.decay_rate": between(1e-15, 1000),
    "alpha": SHARE,
    "linear_decay_fraction": SHARE,
    "polynomial.power": between(0, 100),
    # These are powers of the step, which fall.
    "power.power": between(-100, 0),
    "power_linear.power": between(-100, 0),
    "power_with_offset.power": between(-100, 0),
}

RUNTIME: dict[str, Range] = {
    "runtime.distribution_strategy": _STRATEGY,
    "runtime.tpu": ANY,
    "runtime.gpu_thread_mode": one_of(["gpu_private", "gpu_shared", "global"]),
    "runtime.dataset_num_private_threads": between(1, 10000),
    "runtime.per_gpu_thread_count": between(0, 10000),
    "runtime.num_gpus": between(-1, 1000),
    "runtime.worker_hosts": ANY,
    "runtime.task_index": between(-1, 10**6),
    "runtime.all_reduce_alg": one_of(["nccl", "hierarchical_copy", "ring"]),
    "runtime.num_packs": between(0, 1000),
    "runtime.mixed_precision_dtype": ANY,
    "runtime.loss_scale": either(one_of(["dynamic"]), between(1, 2**24)),
    "runtime.num_cores_per_replica": between(1, 10000),
    "runtime.default_shard_dim": between(-1, 3),
}

DATA: dict[str, Range] = {
    "input_path": ANY,
    "tfds_name": ANY,
    "tfds_split": ANY,
    "tfds_data_dir": ANY,
    "tfds_skip_decoding_feature": ANY,
    # 0 where the data is not used.
    "global_batch_size": between(0, 2**20),
    "shuffle_buffer_size": between(1, 10**7),
    "crop_shuffle_buffer_size": between(1, 10**7),
    "cycle_length": between(1, 10000),
    "block_length": between(1, 10**6),
    "ram_budget": between(1, 10**6),
    "tf_data_service_address": either(
        matching("[a-z+]+://[^/ ]+:[0-9]{1,5}", "an address such as grpc://HOST:PORT"),
        matching("", "empty"),
    ),
    "tf_data_service_job_name": ANY,
    "trainer_id": ANY,
    "train_data.seed": SEED,
    "validation_data.seed": SEED,
    # 0 lets tf.data choose.
    "prefetch_buffer_size": between(0, 10**6),
    "autotune_algorithm": one_of(tf.data.experimental.AutotuneAlgorithm.__members__),
    "dtype": one_of(["float32", "float16", "bfloat16"]),
    "file_type": one_of(["tfrecord", "tfrecord_compressed"]),
    "num_examples": between(-1, 10**12),
}
