"""Numbers computed from the runs of a round; `round_statistics` joins them in one object. No sentences, no drawing."""
