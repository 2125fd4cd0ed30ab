"""Training steps as native programs on a CPU: traced once from torch, run by C that this machine compiles.

README.md walks one small step through tracing, lowering, fusion and partition.
"""
