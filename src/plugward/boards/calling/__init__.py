"""Calling 智能呼叫. Start at ``board.py``; other boards may import only ``contract``."""
