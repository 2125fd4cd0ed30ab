"""How fast many small models are trained: rnnlab beside what there is without it (`python -m benchmarks.training`)."""
