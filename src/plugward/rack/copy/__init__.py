"""Copying 搬库: a hospital's rows from one database to another, counted and compared."""
