"""People: a detector and a pose model, trained apart and joined by hrnet_tf.join."""

from hrnet_tf.serving.kind import Kind

PEOPLE = Kind(name="people")
