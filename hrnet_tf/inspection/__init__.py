"""Looks at a data set before it is trained on: numbers, findings, pictures.

A source (pose_sources.py and its siblings) yields the images of a data set one by one;
an inspection (pose.py and its siblings) counts and finds; sheets.py puts together what
it draws.
"""
