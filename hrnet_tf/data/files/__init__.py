"""Files from outside, read and checked: COCO's JSON, boxes, images, videos."""
