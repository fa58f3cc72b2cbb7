"""Plugward: the hospital as a plug-board 模块化+插板式智慧医院信息系统."""

__version__ = "0.1.0"
