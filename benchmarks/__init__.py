"""Scripts that measure, side by side. Run them with `python -m benchmarks.NAME` from the folder of the checkout."""
