"""Pure functions of tensors: geometry, heatmaps and keypoint similarity."""
