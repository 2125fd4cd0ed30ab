"""Training of cohorts: optimiser, blocks of steps, curves, checkpoints, evaluation, sampling. Knows no queue."""
