"""Encounters 就诊. Start at ``board.py``; other boards may import only ``contract``."""
