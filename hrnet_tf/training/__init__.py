"""From an experiment's configuration to a trained and evaluated model."""
