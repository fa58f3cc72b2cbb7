"""Drug store 药库. Start at ``board.py``; other boards may import only ``contract``."""
