"""Numbers computed from the runs of a round. Knows no words and no pictures."""
