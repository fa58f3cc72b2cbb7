"""Probe: a board that only measures the kernel."""
