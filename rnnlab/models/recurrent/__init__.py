"""Stacks of recurrent cells under BPTT: a cohort, one window of training, and the scans of the built-in cells."""
