"""What can be measured, in which tube: the read copy of master data, asked for this moment."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from plugward.kernel import Reading
from plugward.vocabulary import PatientId

from ..contract import ItemUnknown, LabRequest, Subject, Test
from ..rules import PanelVersion, TestVersion
from ..tables import panel_versions, subjects, test_versions

V = TypeVar("V", TestVersion, PanelVersion)
VERSIONS_MAX = 1_000


class Catalogue:
    """Tests and panels for a few requests, read at once."""

    def __init__(self, read: Reading, requests: Iterable[LabRequest]) -> None:
        ordered = {request.item for request in requests}
        self._panels = _in_force(read, panel_versions, PanelVersion, ordered)
        inside = {item for panel in self._panels.values() for item in panel.items}
        self._tests = _in_force(read, test_versions, TestVersion, ordered | inside)
        tubes = {t.panel for t in self._tests.values() if t.panel} - set(self._panels)
        self._tubes = {**_in_force(read, panel_versions, PanelVersion, tubes), **self._panels}

    def tests(self, request: LabRequest) -> tuple[Test, ...]:
        """What is measured for one request. Refuses with ``ItemUnknown``."""
        panel = self._panels.get(request.item)
        items = panel.items if panel else (request.item,)
        found = [self._tests[item] for item in items if item in self._tests]
        if not found:
            raise ItemUnknown(item=request.item)
        return tuple(found)

    def container(self, request: LabRequest) -> str:
        """The tube or cup for one request; empty while the catalogue is not known."""
        panel = self._panels.get(request.item)
        if panel is not None:
            return panel.container
        test = self._tests.get(request.item)
        if test is None:
            return ""
        tube = self._tubes.get(test.panel)
        return tube.container if tube else test.specimen

    def all_tests(self, requests: Sequence[LabRequest]) -> tuple[Test, ...]:
        """What is measured in one tube, each test once."""
        return tuple({t.item: t for request in requests for t in self.tests(request)}.values())


def _in_force(read: Reading, table: Any, kind: type[V], items: Iterable[str]) -> dict[str, V]:
    """The version in force of each item: the highest whose time has come, unless retired.

    A retired test is still known: tubes that were drawn for it are finished.
    """
    wanted = tuple(sorted(items))
    if not wanted:
        return {}
    versions = read.find(
        table,
        kind,
        table.c.valid_from <= read.now,
        item=wanted,
        order_by=("item", "version"),
        limit=VERSIONS_MAX,
    )
    return {version.item: version for version in versions}


def subjects_of(read: Reading, patients: Iterable[PatientId]) -> dict[PatientId, Subject]:
    """Names, sex and birth dates, as far as the patient index has told."""
    wanted = tuple(set(patients))
    if not wanted:
        return {}
    found = read.find(subjects, Subject, id=wanted, limit=VERSIONS_MAX)
    return {subject.id: subject for subject in found}
