"""How fast many small models train: rnnlab compared with alternatives (`python -m benchmarks.training`)."""
