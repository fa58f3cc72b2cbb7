"""Pharmacy 药房. Start at ``board.py``; other boards may import only ``contract``."""
