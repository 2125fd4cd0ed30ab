"""Simulations: how often the conclusions of the report are right."""
