"""Losses of trained models on held-out text, in the units that people compare."""
