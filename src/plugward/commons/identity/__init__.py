"""Identity 身份. Start at ``board.py``; others may import only ``contract``."""
