"""The page records adds to the portal: a note as it was signed, in every version."""

from plugward.kernel.pages import View, page, view
from plugward.vocabulary import NoteId

from .contract import Records


@page("/records/notes/{note}", title="病历", title_en="Note", permission="records.read")
async def note_versions(note: NoteId, records: Records) -> View:
    """Every signed version, the newest first. Opening it is remembered."""
    return view("versions.html", versions=await records.versions(note))
