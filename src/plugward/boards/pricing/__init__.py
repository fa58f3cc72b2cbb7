"""Pricing 物价. Start at ``board.py``; other boards may import only ``contract``."""
