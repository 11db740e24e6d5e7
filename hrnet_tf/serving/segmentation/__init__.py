"""Segmentation models, exported: an image in, a class for every pixel out."""
