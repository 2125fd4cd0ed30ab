"""Whether the benchmarks compare like with like."""
