"""What a run does: the values of --mode. `training.run` has the Garden run them."""

MODES = ("train", "eval", "train_and_eval", "continuous_eval")
