"""Patients 患者主索引. Start at ``board.py``; other boards may import only ``contract``."""
