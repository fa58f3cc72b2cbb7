"""A board that has one of everything a contract may have."""
