"""The work of the commands: `actions/X.py` implements `rnnlab X`, for the command line and the Python API."""
