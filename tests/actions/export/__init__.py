"""Tests of rnnlab.analysis: against the published figures, plain loops, and the geometry of the pictures."""
