"""Scenarios of the laboratory."""
