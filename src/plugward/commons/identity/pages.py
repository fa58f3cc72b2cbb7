"""The pages of identity: opening a record in need, reviewing it, accounts."""

from plugward.kernel.pages import (
    Go,
    Home,
    Key,
    Place,
    TodoItem,
    View,
    Viewer,
    action,
    home,
    page,
    view,
)
from plugward.kit.message import Clinical, Plain
from plugward.vocabulary import PatientId, StaffId

from .contract import BreakGlass, Identity, OpeningId, OpeningReason, OpeningState

LIST_MAX = 100
REASONS = {
    OpeningReason.EMERGENCY: ("抢救", "Emergency"),
    OpeningReason.CROSS_CAMPUS: ("跨院区诊治", "Care across campuses"),
    OpeningReason.COVER: ("临时顶班", "Cover"),
    OpeningReason.CRITICAL_VALUE: ("危急值处置", "Critical value"),
    OpeningReason.OTHER: ("其他", "Other"),
}


@page(
    "/identity/open/{patient}",
    title="紧急查阅",
    title_en="Open a record in need",
    permission="identity.break-glass",
    icon="shield-check",
    keys=(Key("F9", "开启查阅", "Open", "#open"),),
)
async def open_record(patient: PatientId) -> View:
    """One patient, a reason, four hours; and it says before that it will be reviewed."""
    return view("open.html", patient=patient, reasons=REASONS)


@action("/identity/open", title="开启查阅", permission="identity.break-glass")
async def open_now(
    viewer: Viewer,
    identity: Identity,
    id: OpeningId,
    patient: PatientId,
    reason: OpeningReason,
    words: Clinical,
) -> Go:
    await identity.break_glass(BreakGlass(id=id, patient=patient, reason=reason, words=words))
    return Go(
        "/",
        said=viewer.say(
            "已开启 4 小时只读查阅，将由他人审核",
            "Open for reading for 4 hours; somebody will review it",
        ),
    )


@page(
    "/identity/openings",
    title="越权查阅审核",
    title_en="Opened records",
    permission="identity.review-openings",
    place=Place.RAIL,
    icon="shield-check",
    order=820,
)
async def openings(identity: Identity, state: OpeningState = OpeningState.OPEN) -> View:
    """What waits for a review, the oldest first; or what became of it."""
    found = await identity.openings(state, LIST_MAX)
    return view(
        "openings.html", rows=found, state=state, states=tuple(OpeningState), reasons=REASONS
    )


@action("/identity/review", title="审核", permission="identity.review-openings")
async def review(
    viewer: Viewer, identity: Identity, opening: OpeningId, state: OpeningState, finding: Clinical
) -> Go:
    await identity.review_opening(opening, state, finding)
    return Go("/identity/openings", said=viewer.say("已审核", "Reviewed"))


@page(
    "/identity/accounts",
    title="账号管理",
    title_en="Accounts",
    permission="identity.administer",
    place=Place.RAIL,
    icon="users",
    order=810,
)
async def accounts(viewer: Viewer, identity: Identity, after: str = "") -> View:
    """Who has an account at the administrator's campuses, with the one off-switch."""
    found = await identity.accounts(after, LIST_MAX)
    return view("accounts.html", rows=found, me=viewer.actor_id, more=len(found) == LIST_MAX)


@action("/identity/disable", title="停用", permission="identity.administer")
async def disable(viewer: Viewer, identity: Identity, staff: StaffId, reason: Plain) -> Go:
    await identity.disable(staff, reason)
    return Go(
        "/identity/accounts",
        said=viewer.say("账号已停用，所有会话已结束", "Account closed; all its sessions ended"),
    )


@action("/identity/enable", title="恢复", permission="identity.administer")
async def enable(viewer: Viewer, identity: Identity, staff: StaffId, reason: Plain) -> Go:
    await identity.enable(staff, reason)
    return Go("/identity/accounts", said=viewer.say("账号已恢复", "Account restored"))


@home("identity.review-openings")
async def at_home(viewer: Viewer, identity: Identity) -> Home:
    """Opened records that wait for this reviewer: at once, and until they are reviewed."""
    chinese = viewer.language == "zh-CN"
    waiting = [o for o in await identity.openings() if f"staff:{o.staff}" != viewer.actor_id]
    todos = tuple(
        TodoItem(
            title=f"越权查阅待审核：{o.name}" if chinese else f"Opened record: {o.name}",
            detail=REASONS[o.reason][0 if chinese else 1],
            link="/identity/openings",
            action="审核" if chinese else "Review",
            urgent=o.review_by <= viewer.now,
            due=o.review_by,
        )
        for o in waiting
    )
    line = f"{len(todos)} 项待审核" if chinese else f"{len(todos)} to review"
    return Home(tile=line if todos else "", tone="warn" if todos else "", todos=todos)
