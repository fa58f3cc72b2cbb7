"""Routing 路由: the site's own routes, as Python modules with tables beside them.

What a route imports stands here; how routes are kept, tested and activated is in ``book``.

>>> from plugward.commons.hub.routing import Incoming, Send, Tables
>>> def route(incoming: Incoming, tables: Tables) -> list[Send]:
...     return [Send("emr", incoming.hl7, key=incoming.hl7["PID-3"])]
"""

from .incoming import Incoming, Refuse, Send
from .mapping import Table, Tables

__all__ = ["Incoming", "Refuse", "Send", "Table", "Tables"]
