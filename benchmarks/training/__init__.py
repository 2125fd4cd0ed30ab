"""How fast many small models are trained: rnnlab beside the ways there are without it (`python -m benchmarks.training`)."""
