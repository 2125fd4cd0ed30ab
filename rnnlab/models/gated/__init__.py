"""The gated cell of the dynamics experiment: a cohort of gated language models, and one online training step."""
