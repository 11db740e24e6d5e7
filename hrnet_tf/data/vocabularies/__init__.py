"""What data are labelled with: keypoints of skeletons, classes of label sets."""
