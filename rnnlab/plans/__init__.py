"""Turns an experiment into jobs in the table, and a finished round into the next one."""
