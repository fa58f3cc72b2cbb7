"""The pages of the pharmacy: the dispensing window and the return counter."""

from plugward.boards.drug_store.contract import DrugStore, ItemStock
from plugward.boards.orders.contract import Orders
from plugward.boards.patients.contract import Patient, Patients
from plugward.kernel import Message, Plain, Refusal, Unavailable
from plugward.kernel.pages import (
    Go,
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
from plugward.vocabulary import CampusCode, OrderLineId

from .contract import (
    DispenseTask,
    LineQuantity,
    Pharmacy,
    PrescriptionLine,
    ReturnId,
    Scan,
    ScanOutcome,
    TakeBack,
    TaskId,
    TaskSheet,
    TaskState,
)

WINDOW, RETURNS = "/pharmacy/window", "/pharmacy/returns"
QUEUE_MAX, HISTORY_MAX, SCANS_MAX, DONE_MAX = 50, 6, 8, 200
TABS = (
    ("waiting", (TaskState.CALLED, TaskState.PICKED, TaskState.TO_PICK)),
    ("picking", (TaskState.TO_PICK,)),
    ("aside", (TaskState.MISSED, TaskState.SUSPENDED)),
)
SHOWN_FIRST = {TaskState.CALLED: 0, TaskState.PICKED: 1}


class ReturnForm(Message):
    """One row a line: how many packs came back (0: none)."""

    id: ReturnId
    task: TaskId
    line: tuple[OrderLineId, ...]
    quantity: tuple[int, ...]
    reason: Plain
    approved_by: Plain


# ── the window ──────────────────────────────────────────────────────────────────────────────
@page(
    WINDOW,
    title="门诊药房发药",
    title_en="Dispensing",
    permission="pharmacy.dispense",
    place=Place.RAIL,
    icon="pill",
    order=240,
    keys=(
        Key("F2", "扫码框", "Scan box", "#scan"),
        Key("F4", "叫下一位", "Call next", "#call-next"),
        Key("F7", "已配好", "Picked", "#pick"),
        Key("F8", "用药交代单", "Counselling sheet", "#counsel"),
        Key("F9", "确认发药", "Dispense", "#dispense"),
        Key("F6", "挂起", "Suspend", "#suspend"),
    ),
)
async def window(
    viewer: Viewer,
    pharmacy: Pharmacy,
    drug_store: DrugStore,
    patients: Patients,
    orders: Orders,
    *,
    task: TaskId | None = None,
    tab: Plain = "waiting",
) -> View:
    """The queue, one prescription with its packs, and what to tell the patient."""
    return await _window(viewer, pharmacy, drug_store, patients, orders, task, tab=tab)


async def _window(
    viewer: Viewer,
    pharmacy: Pharmacy,
    drug_store: DrugStore,
    patients: Patients,
    orders: Orders,
    task: TaskId | None,
    *,
    tab: str = "waiting",
    scanned: Scan | None = None,
) -> View:
    campus = CampusCode(viewer.campus)
    states = dict(TABS).get(tab, TABS[0][1])
    queue = await pharmacy.queue(campus, states, QUEUE_MAX)
    ordered = sorted(queue, key=lambda found: SHOWN_FIRST.get(found.state, 2))
    sheet = await pharmacy.task(task) if task is not None else None
    lines = sheet.lines if sheet else ()
    wanted = sum(line.open for line in lines)
    history: tuple[TaskSheet, ...] = ()
    scans: tuple[Scan, ...] = ()
    if sheet is not None:
        history = await pharmacy.history(sheet.task.patient, HISTORY_MAX)
        scans = await pharmacy.scans(sheet.task.id, SCANS_MAX)
    return view(
        "scanned.html" if scanned is not None else "window.html",
        oob=scanned is not None,
        queue=ordered,
        tab=tab,
        sheet=sheet,
        lines=lines,
        current=_current(lines, scanned),
        missing=wanted - sum(line.scanned for line in lines),
        wanted=wanted,
        shelf=await _shelf(drug_store, campus, lines),
        usages=await _usages(orders, viewer) if lines else {},
        patient=await _patient(patients, sheet),
        history=[past for past in history if sheet is None or past.task.id != sheet.task.id],
        scans=scans,
        blocked=scanned if scanned and scanned.outcome is not ScanOutcome.RIGHT else None,
        place=viewer.workplace or "1 号窗",
    )


async def _usages(orders: Orders, viewer: Viewer) -> dict[str, str]:
    """What routes and frequencies are called; while orders is away their codes must do."""
    try:
        found = await orders.usages()
    except (Unavailable, Refusal):
        return {}
    return {one.usage: viewer.say(one.name_zh, one.name_en or one.usage) for one in found}


async def _patient(patients: Patients, sheet: TaskSheet | None) -> Patient | None:
    """Who it is, asked anew each time: an allergy written down a minute ago must show here.

    None when the index is away: the window then says that allergies are to be asked for.
    """
    if sheet is None:
        return None
    try:
        return await patients.get(sheet.task.patient)
    except (Refusal, Unavailable):
        return None


def _current(lines: tuple[PrescriptionLine, ...], scanned: Scan | None) -> OrderLineId | None:
    """The row the eye should be on: the blocked one, else the first that wants packs."""
    if scanned is not None and scanned.outcome is not ScanOutcome.RIGHT and scanned.line:
        return scanned.line
    return next((line.id for line in lines if line.scanned < line.open), None)


async def _shelf(
    drug_store: DrugStore,
    campus: CampusCode,
    lines: tuple[PrescriptionLine, ...],
) -> dict[str, ItemStock]:
    """What lies on the shelf, if the drug store is there to say so."""
    if not lines:
        return {}
    try:
        found = await drug_store.stock(campus, tuple({line.item for line in lines}))
    except (Unavailable, Refusal):
        return {}
    return {stock.item: stock for stock in found}


@action("/pharmacy/call-next", title="叫下一位", permission="pharmacy.dispense")
async def call_next(viewer: Viewer, pharmacy: Pharmacy) -> Go:
    task = await pharmacy.call_next(CampusCode(viewer.campus), viewer.workplace or "1 号窗")
    return Go(f"{WINDOW}?task={task.id}", said=_called(viewer, task))


@action("/pharmacy/call", title="叫号", permission="pharmacy.dispense")
async def call(task: TaskId, viewer: Viewer, pharmacy: Pharmacy) -> Go:
    called = await pharmacy.call(task, viewer.workplace or "1 号窗")
    return Go(f"{WINDOW}?task={task}", said=_called(viewer, called))


def _called(viewer: Viewer, task: DispenseTask) -> str:
    return viewer.say(f"请 {task.number} 号到{task.window}取药", f"Called {task.number}")


@action("/pharmacy/scan", title="扫码核对", permission="pharmacy.dispense")
async def scan(
    task: TaskId,
    code: Plain,
    viewer: Viewer,
    pharmacy: Pharmacy,
    drug_store: DrugStore,
    patients: Patients,
    *,
    orders: Orders,
) -> View:
    """One pack under the scanner: the page comes back with the row counted or blocked."""
    scanned = await pharmacy.scan(task, code)
    return await _window(viewer, pharmacy, drug_store, patients, orders, task, scanned=scanned)


@action("/pharmacy/pick", title="已配好", permission="pharmacy.dispense")
async def pick(viewer: Viewer, task: TaskId, pharmacy: Pharmacy) -> Go:
    await pharmacy.pick(task)
    return Go(
        f"{WINDOW}?task={task}", said=viewer.say("已配好，等待叫号", "Picked; call when ready")
    )


@action("/pharmacy/dispense", title="确认发药", permission="pharmacy.dispense")
async def dispense(viewer: Viewer, task: TaskId, pharmacy: Pharmacy) -> Go:
    done = await pharmacy.dispense(task)
    return Go(WINDOW, said=viewer.say(f"{done.number} 已发药", f"{done.number} handed out"))


@action("/pharmacy/miss", title="过号", permission="pharmacy.dispense")
async def miss(viewer: Viewer, task: TaskId, pharmacy: Pharmacy) -> Go:
    done = await pharmacy.miss(task)
    return Go(WINDOW, said=viewer.say(f"{done.number} 已过号", f"{done.number} missed"))


@action("/pharmacy/suspend", title="挂起", permission="pharmacy.dispense")
async def suspend(viewer: Viewer, task: TaskId, reason: Plain, pharmacy: Pharmacy) -> Go:
    done = await pharmacy.suspend(task, reason)
    return Go(WINDOW, said=viewer.say(f"{done.number} 已挂起", f"{done.number} laid aside"))


@action("/pharmacy/cannot-supply", title="缺药", permission="pharmacy.dispense")
async def cannot_supply(
    viewer: Viewer, task: TaskId, line: OrderLineId, quantity: int, pharmacy: Pharmacy
) -> Go:
    short = await pharmacy.cannot_supply(line, quantity, "药房缺药")
    return Go(
        f"{WINDOW}?task={task}",
        said=viewer.say(
            f"{short.name_zh} 缺 {quantity}，已通知收费退款",
            f"{short.name_en}: {quantity} short; the cashier is told",
        ),
    )


@page(
    "/pharmacy/counselling/{task}",
    title="用药交代单",
    title_en="Counselling sheet",
    permission="pharmacy.read",
)
async def counselling(viewer: Viewer, task: TaskId, pharmacy: Pharmacy, orders: Orders) -> View:
    """What the patient takes home: each drug, how much, how often, how long."""
    usages = await _usages(orders, viewer)
    return view("counselling.html", sheet=await pharmacy.task(task), usages=usages)


# ── returns ─────────────────────────────────────────────────────────────────────────────────
@page(
    RETURNS,
    title="退药",
    title_en="Drug returns",
    permission="pharmacy.take-back",
    place=Place.RAIL,
    icon="rotate-ccw",
    order=250,
    keys=(Key("F9", "确认退药", "Take back", "#take-back"),),
)
async def returns(viewer: Viewer, pharmacy: Pharmacy, task: TaskId | None = None) -> View:
    """What was handed out today on the left; the chosen one with what may come back."""
    handed_out = (TaskState.DISPENSED,)
    return view(
        "returns.html",
        queue=await pharmacy.queue(CampusCode(viewer.campus), handed_out, QUEUE_MAX),
        sheet=await pharmacy.task(task) if task is not None else None,
        made=await pharmacy.returns(task) if task is not None else (),
    )


@action("/pharmacy/take-back", title="退药", permission="pharmacy.take-back")
async def take_back(viewer: Viewer, form: ReturnForm, pharmacy: Pharmacy) -> Go:
    parts = tuple(
        LineQuantity(line=line, quantity=quantity)
        for line, quantity in zip(form.line, form.quantity, strict=False)
        if quantity
    )
    made = await pharmacy.take_back(
        TakeBack(
            id=form.id,
            task=form.task,
            lines=parts,
            reason=form.reason,
            approved_by=form.approved_by,
        )
    )
    count = sum(line.quantity for line in made.lines)
    return Go(
        f"{RETURNS}?task={form.task}",
        said=viewer.say(
            f"已收回 {count} 件，应退款已通知收费", f"{count} taken back; the cashier is told"
        ),
    )


@home("pharmacy.dispense")
async def pharmacy_home(viewer: Viewer, pharmacy: Pharmacy) -> Home:
    """The pharmacist's tile: who waits, and who was laid aside."""
    campus = CampusCode(viewer.campus)
    waiting = await pharmacy.queue(campus, limit=200)
    aside = await pharmacy.queue(campus, (TaskState.SUSPENDED,), QUEUE_MAX)
    out = len(await pharmacy.queue(campus, (TaskState.DISPENSED,), DONE_MAX))
    many = f"{out}+" if out == DONE_MAX else str(out)
    to_pick = sum(task.state is TaskState.TO_PICK for task in waiting)
    say = viewer.say
    todos = tuple(
        TodoItem(
            title=viewer.say(f"{task.number} 挂起", f"{task.number} laid aside"),
            detail=task.reason,
            link=f"{WINDOW}?task={task.id}",
            action=viewer.say("查看", "Open"),
            due=task.paid_at,
        )
        for task in aside[:5]
    )
    return Home(
        tile=say(f"等待取药 {len(waiting)} 人", f"{len(waiting)} wait for drugs"),
        stats=(
            Stat(
                say("等待取药", "Waiting for drugs"),
                str(len(waiting)),
                say("人", "people"),
                say(f"待配 {to_pick}", f"{to_pick} to pick"),
            ),
            Stat(
                say("挂起", "Laid aside"),
                str(len(aside)),
                say("张", "prescriptions"),
                tone="warn" if aside else "ok",
            ),
            Stat(
                say("今日发药", "Handed out today"),
                many,
                say("张", "prescriptions"),
            ),
        ),
        todos=todos,
        badge=len(aside),
    )
