"""The boards 插板, one folder each."""
