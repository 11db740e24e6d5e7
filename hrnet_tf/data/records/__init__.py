"""The TFRecords between converters and input pipelines, one module per kind."""
