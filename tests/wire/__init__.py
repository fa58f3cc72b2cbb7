"""The wire: the same calls direct, strict, over NATS, a Unix socket and HTTP; then with faults."""
