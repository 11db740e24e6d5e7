"""Weights into models: official PyTorch checkpoints, and parts of our own."""
