"""CDA R2 as WS/T 500-2016 uses it: written, read back and checked. Importable alone.

``write(doc)`` gives bytes, ``read(content)`` gives the same document again, ``check(content)``
lists what the standard would object to. Nothing here knows a board or a database.
"""

from .checking import Finding, Severity, check
from .model import LOCAL_CODES, CdaDocument, Named, Organisation
from .reading import Unreadable, read
from .tables import KINDS, Kind
from .writing import write

__all__ = [
    "KINDS",
    "LOCAL_CODES",
    "CdaDocument",
    "Finding",
    "Kind",
    "Named",
    "Organisation",
    "Severity",
    "Unreadable",
    "check",
    "read",
    "write",
]
