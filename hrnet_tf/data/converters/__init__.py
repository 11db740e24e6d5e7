"""From data sets as published to TFRecords, one module per kind of data set."""
