"""Cells and language models with a leading model axis, and a plain reference for a single model."""
