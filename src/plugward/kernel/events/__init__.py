"""Events between boards 事件: declared with ``@on``, run at least once, effective once."""
