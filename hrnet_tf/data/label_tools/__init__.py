"""From the files of label tools to COCO's JSON: a reader per format, one writer."""
