"""The pages, and what generates some of them: `python -m docs.generate`."""
