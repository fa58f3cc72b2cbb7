"""Supervisor 监督: which processes a rack is made of, and that they run."""
