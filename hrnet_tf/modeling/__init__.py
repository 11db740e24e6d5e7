"""The networks: tf_keras layers and models that know nothing of tasks or files."""
