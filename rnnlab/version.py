"""The version of rnnlab."""

__version__ = "0.1.0"
