"""Training steps as native programs on a CPU: recorded once from torch, compiled from C on this machine."""
