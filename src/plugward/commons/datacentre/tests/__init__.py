"""The data centre's scenarios."""
