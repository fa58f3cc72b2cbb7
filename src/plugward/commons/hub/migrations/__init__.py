"""What brings an older store of this board up to its tables."""
