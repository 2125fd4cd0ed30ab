"""The contract of the job store: written once, run on every database of the fixture `database_url`."""
