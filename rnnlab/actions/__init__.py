"""What each command does: `actions/X.py` is the work of `rnnlab X`, for the command line and for Python alike."""
