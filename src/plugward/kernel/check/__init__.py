"""Checks 检查: what every board promises, compared with what a machine can see of it."""
