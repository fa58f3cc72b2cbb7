"""The pages of calling: the waiting hall's screen, and the triage nurse's queues."""

from plugward.kernel.pages import Go, Key, Place, View, Viewer, action, page, view
from plugward.kit.time import hospital_date
from plugward.vocabulary import CampusCode, DepartmentCode, TicketId

from .contract import Calling, Desk, Queue, QueueCode, ScreenRoom

FRESH_S = 60
NEXT_MAX = 3  # who should get ready, a line of the screen


@page(
    "/calling/screen",
    title="候诊大屏",
    title_en="Waiting hall",
    permission="calling.screen",
    place=Place.PUBLIC,
    icon="monitor",
    theme="dark",
    freshness_s=FRESH_S,
)
async def hall_screen(
    viewer: Viewer, calling: Calling, department: DepartmentCode | None = None
) -> View:
    """What the hall reads: numbers, masked names, rooms, and how old it is."""
    wanted = department or DepartmentCode(viewer.department)
    screen = await calling.screen(CampusCode(viewer.campus), wanted)
    return view("screen.html", screen=screen, rooms=_one_a_room(screen.rooms), fresh_s=FRESH_S)


def _one_a_room(rooms: tuple[ScreenRoom, ...]) -> list[ScreenRoom]:
    """A doctor has several sessions a day in one room: who sits in the hall needs one line."""
    found: dict[tuple[str, str], ScreenRoom] = {}
    for room in rooms:
        known = found.setdefault((room.room, room.doctor_name), room)
        found[room.room, room.doctor_name] = known.replace(
            now=known.now or room.now,
            next=(*known.next, *room.next)[:NEXT_MAX] if known is not room else known.next,
            wait_minutes=max(known.wait_minutes, room.wait_minutes),
            is_calling=known.is_calling or room.is_calling,
        )
    return list(found.values())


@page(
    "/calling/hall",
    title="分诊叫号",
    title_en="Triage",
    permission="calling.triage",
    place=Place.RAIL,
    icon="megaphone",
    order=30,
    keys=(
        Key("F3", "过号重排", "Rejoin", "#rejoin"),
        Key("F8", "候诊大屏", "Screen", "#open-screen"),
    ),
)
async def hall(
    viewer: Viewer,
    calling: Calling,
    queue: QueueCode | None = None,
    department: DepartmentCode | None = None,
) -> View:
    """The queues of today, and one of them in full."""
    campus, day = CampusCode(viewer.campus), hospital_date(viewer.now)
    desks = await calling.desks(campus, day, department)
    chosen = queue or _first(desks, viewer.department)
    shown: Queue | None = await calling.queue(chosen) if chosen else None
    return view("hall.html", desks=desks, chosen=chosen, queue=shown, department=department)


@action("/calling/rejoin", title="过号重排", permission="calling.triage")
async def rejoin(viewer: Viewer, ticket: TicketId, calling: Calling) -> Go:
    back = await calling.rejoin(ticket)
    return Go(
        f"/calling/hall?queue={back.queue}",
        said=viewer.say(f"{back.number} 已重新排队", f"{back.number} queues again"),
    )


@action("/calling/come-back", title="回诊", permission="calling.triage")
async def come_back(viewer: Viewer, ticket: TicketId, calling: Calling) -> Go:
    back = await calling.come_back(ticket)
    return Go(
        f"/calling/hall?queue={back.queue}",
        said=viewer.say(f"回诊号 {back.number}", f"Return number {back.number}"),
    )


def _first(desks: tuple[Desk, ...], department: str) -> QueueCode | None:
    """The first queue of the viewer's own department, else the first there is."""
    own = [desk for desk in desks if desk.department == department]
    return next((desk.queue for desk in (*own, *desks)), None)
