"""Names, sentences and tables of a report, computed from the statistics."""
