"""Records 电子病历. Start at ``board.py``; other boards may import only ``contract``."""
