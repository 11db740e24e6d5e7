"""TFRecords in, batches out: the input pipelines of training and evaluation."""
