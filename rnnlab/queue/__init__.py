"""The job table: who trains what, what is finished, who is alive. Knows no torch and no experiment files."""
