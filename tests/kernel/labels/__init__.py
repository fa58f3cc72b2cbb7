"""Labels 标签: hears the parcels board and prints one label a fact."""
