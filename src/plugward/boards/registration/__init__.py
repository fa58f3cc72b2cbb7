"""Registration 挂号. Start at ``board.py``; other boards may import only ``contract``."""
