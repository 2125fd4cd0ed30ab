"""How many runs to train at once on a device: estimated, measured, remembered."""
