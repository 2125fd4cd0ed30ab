"""The report of an experiment as one HTML file that needs nothing but a browser."""
