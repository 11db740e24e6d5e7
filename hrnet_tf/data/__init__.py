"""Datasets in, TFRecords out; TFRecords in, training examples out."""
