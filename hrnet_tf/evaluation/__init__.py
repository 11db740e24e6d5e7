"""Predictions in, metrics out: one module per benchmark."""
