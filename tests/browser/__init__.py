"""Tests that drive the portal with a real browser."""
