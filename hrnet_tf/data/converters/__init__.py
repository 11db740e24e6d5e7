"""Data sets in, TFRecords out: one module per data set, and what they share."""
