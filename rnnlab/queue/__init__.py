"""The job table: which worker trains which job, which jobs are done, which workers are alive.

This package imports neither torch nor the code that reads experiment files.
"""
