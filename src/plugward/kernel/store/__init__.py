"""The store 存储: units of work on SQLite, PostgreSQL and MySQL-compatible databases."""
