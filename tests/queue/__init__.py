"""The contract of the job store: written once, run on every database that `database_url` knows."""
