"""Vault: a small board that needs every promise of the store."""
