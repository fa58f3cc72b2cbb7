"""Pure building blocks: ids, money, time, messages. No I/O, no hospital."""
