"""Billing 收费. Start at ``board.py``; other boards may import only ``contract``."""
