"""Orders 医嘱. Start at ``board.py``; other boards may import only ``contract``."""
