"""People between the frames of a video: who is who, smooth points, and next crops."""
