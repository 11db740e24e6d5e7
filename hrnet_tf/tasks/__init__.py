"""Model Garden tasks: each wires a model, its data, its loss and its metrics."""
