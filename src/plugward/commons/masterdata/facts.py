"""What the data centre learns from master data: every version of every entry, as a dimension."""

from plugward.kernel import Message, fact
from plugward.kit.message import Plain
from plugward.kit.time import Instant

from .contract import Domain, EntryPublished


class EntryVersion(Message):
    """One version of one entry 一个目录条目的一个版本, in force from ``valid_from`` on."""

    domain: Domain
    code: Plain
    version: int
    name_zh: Plain
    name_en: Plain
    parent: Plain  # the campus of a department, the panel of a laboratory item
    is_retired: bool
    valid_from: Instant


@fact(EntryPublished, table="masterdata_entry_version", key=("domain", "code", "version"))
def entry_version(event: EntryPublished) -> EntryVersion:
    entry = event.entry
    return EntryVersion(
        domain=entry.domain,
        code=entry.code,
        version=entry.version,
        name_zh=entry.name_zh,
        name_en=entry.name_en,
        parent=entry.attribute("campus_code") or entry.attribute("panel_code"),
        is_retired=entry.is_retired,
        valid_from=entry.valid_from,
    )
