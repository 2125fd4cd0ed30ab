"""Losses of trained models on held-out text, in comparable units."""
