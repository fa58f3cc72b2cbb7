"""Master data 主数据. Start at ``board.py``; others may import only ``contract``."""
