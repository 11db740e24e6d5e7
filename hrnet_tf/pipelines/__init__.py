"""Pipelines for Apache Beam, which run on this machine or on many."""
