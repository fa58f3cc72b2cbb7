"""The wire 线缆: a contract called in another process, over NATS, a Unix socket or HTTP."""
