"""A simulated hospital around a hub: systems of other vendors, which share nothing with it."""
