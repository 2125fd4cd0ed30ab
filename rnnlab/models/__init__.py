"""Cells and language models with a leading model axis, and a plain single-model reference beside them."""
