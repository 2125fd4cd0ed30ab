"""Experiment files: TOML -> validated experiment -> run configs, and the rules of later rounds. Never imports torch."""
