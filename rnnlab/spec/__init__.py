"""Experiment files: TOML -> validated experiment -> run configs, and the rules of the next rounds. Knows no torch."""
