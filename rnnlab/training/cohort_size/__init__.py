"""How many runs to train at once on a device: a default, measurements, and their storage."""
