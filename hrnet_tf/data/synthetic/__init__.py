"""The built-in data set: drawn people among things, in COCO's layout."""
