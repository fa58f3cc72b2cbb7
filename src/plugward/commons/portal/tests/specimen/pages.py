"""Pages of every kind: a list, a form, a plain grid, one that fails, one that is slow."""

import asyncio

from plugward.kernel.pages import (
    Action,
    Column,
    Download,
    Go,
    Grid,
    Home,
    Key,
    Place,
    Stat,
    TodoItem,
    View,
    Viewer,
    action,
    home,
    page,
    view,
)

from .contract import PATIENT, NoteId, Specimen, WriteNote
from .service import SpecimenService


@page(
    "/specimen/notes",
    title="样本记录",
    title_en="Notes",
    permission="specimen.read",
    place=Place.RAIL,
    icon="file-text",
    keys=(Key("F9", "保存", "Save", "#save"), Key("F6", "正文", "Text", "#text")),
)
async def notes(specimen: Specimen, viewer: Viewer) -> View:
    return view("notes.html", notes=await specimen.notes(), who=viewer.name)


@page("/specimen/notes/{note}", title="一份记录", title_en="A note", permission="specimen.read")
async def one_note(note: NoteId, specimen: Specimen) -> View:
    return view("note.html", note=await specimen.note(note))


@page("/specimen/list", title="样本列表", title_en="List", permission="specimen.read")
async def plain_list(specimen: Specimen) -> Grid:
    return Grid(
        rows=await specimen.notes(),
        columns=[Column("正文", "text"), Column("院区", "campus")],
        actions=[Action("撕毁", specimen.tear_up)],
    )


@action("/specimen/write", title="保存", permission="specimen.write")
async def write(form: WriteNote, specimen: Specimen) -> Go:
    await specimen.write(form)
    return Go("/specimen/notes", said="已保存")


@page("/specimen/file", title="导出", permission="specimen.read")
async def as_file(specimen: Specimen, service: SpecimenService) -> Download:
    notes = await specimen.notes()
    return Download("样本.csv", f"{len(notes)},{service.archive_closed}".encode(), "text/csv")


@page("/specimen/secret", title="秘密", permission="specimen.secret")
async def secret(specimen: Specimen) -> View:
    return view("note.html", note=await specimen.secret())


@page("/specimen/broken", title="出错", permission="specimen.read")
async def broken() -> View:
    raise ValueError(PATIENT)


@page("/specimen/wrong-template", title="模板出错", permission="specimen.read")
async def wrong_template() -> View:
    return view("note.html")


@page("/specimen/slow", title="太慢", permission="specimen.read")
async def slow() -> View:
    await asyncio.Event().wait()
    raise AssertionError


@home("specimen.read")
async def at_home(specimen: Specimen) -> Home:
    found = await specimen.notes()
    return Home(
        tile=f"{len(found)} 份记录",
        stats=(Stat("记录", str(len(found)), "份"),),
        todos=tuple(
            TodoItem(note.text[:60], "样本", f"/specimen/notes/{note.id}") for note in found[:5]
        ),
    )
