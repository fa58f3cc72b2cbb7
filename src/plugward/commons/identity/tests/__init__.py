"""Scenarios of identity."""
