"""Observability 可观测性: meters, logs and traces without patient data."""
