"""The FHIR R4 facade: one address over the contracts of whatever boards are plugged in.

Importable alone: it leans on the kernel only. Boards declare their resources in ``fhir.py``
(``plugward.kernel.fhir``); the gateway brings requests of people it has let in.
"""

from .server import BASE, Answered, Asked, FhirServer

__all__ = ["BASE", "Answered", "Asked", "FhirServer"]
