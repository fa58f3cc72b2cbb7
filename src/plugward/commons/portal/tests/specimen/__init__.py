"""A small board for the portal's tests: it shows whatever was written into it."""
