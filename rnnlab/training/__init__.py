"""Training of cohorts: optimizer, blocks of steps, curves, checkpoints, evaluation, sampling. Knows no queue."""
