"""Connectors 连接器: what the hub's door offers besides taking messages, declared by the site.

``declared.py`` reads ``services.toml`` and ``offers.py`` puts it in force; ``forward.py`` and
``tunnel.py`` pass calls through.
"""
