"""A small ward for the data centre's tests."""
