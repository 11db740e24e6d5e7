"""Detectors, exported: an image in, objects out."""
