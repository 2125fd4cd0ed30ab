"""Scripts that measure rnnlab and compare it with alternatives.

Run them with `python -m benchmarks.NAME` from the folder of the checkout.
"""
