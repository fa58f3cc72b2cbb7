"""Control 控制口: a running hospital is told to plug, unplug and say how it is."""
