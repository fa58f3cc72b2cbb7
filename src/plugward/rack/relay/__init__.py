"""The relay 事件中继: facts of one process heard in another, in order, once, whole."""
