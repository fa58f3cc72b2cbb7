"""The command line 命令行: one module a verb group, imported only when it is used."""

from .main import main

__all__ = ["main"]
