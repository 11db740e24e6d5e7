"""People: a detector and a pose model, trained apart and joined by hrnet_tf.join."""

from hrnet_tf.serving.kind import Kind
from hrnet_tf.serving.people.predictor import PeoplePredictor

PEOPLE = Kind(name="people", saved_model=PeoplePredictor)
