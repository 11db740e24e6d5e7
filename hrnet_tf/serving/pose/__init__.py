"""Pose models, exported: a person's crop in, keypoints out."""
