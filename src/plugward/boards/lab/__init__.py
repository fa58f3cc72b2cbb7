"""Laboratory 检验. Start at ``board.py``; others import only ``contract``."""
