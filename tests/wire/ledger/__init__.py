"""A board that hears every specimen fact and writes down the order it heard them in."""
