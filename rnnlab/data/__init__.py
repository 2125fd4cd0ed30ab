"""Corpora, tokenizers, splits, and batches that are a pure function of (seed, window index)."""
