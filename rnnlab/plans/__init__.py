"""From an experiment to jobs in the table, and from a finished round to the next one."""
