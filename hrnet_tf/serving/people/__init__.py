"""A detector and a pose model in one: an image in, people's keypoints out."""
