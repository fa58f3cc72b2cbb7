"""The console 集成监控: how every line is doing, the messages, one message's way, dead letters."""

from datetime import timedelta

from plugward.kernel import Plain, Sensitive
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

from .contract import Hub, LetterState, LineState, MessageSearch
from .drawing import map_of, throughput_of

SYSTEMS = "/hub/systems"
CONSOLE = "/hub/console"
_SHOWN_MAX = 50
_FAILING_MAX = 8
KEYS = (
    Key("F2", "查消息", "Find messages", "#hub-text"),
    Key("F7", "系统清单", "Systems", "#hub-systems"),
    Key("R", "重放", "Replay", "[data-replay]"),
    Key("F9", "批量重放", "Replay all", "[data-replay-all]"),
    Key("O", "打开原文", "Open the text", "#hub-why"),
)


@page(
    CONSOLE,
    title="集成监控",
    title_en="Integration monitor",
    permission="hub.watch",
    place=Place.RAIL,
    icon="network",
    order=70,
    keys=KEYS,
)
async def console(
    hub: Hub,
    viewer: Viewer,
    *,
    destination: Plain = "",
    state: Plain = "",
    message: int = 0,
) -> View:
    """Lines, throughput, what fails; messages; the way of the one chosen."""
    return await _shown(
        hub, viewer, MessageSearch(destination=destination, state=state), 0, message
    )


@action("/hub/find", title="查消息", permission="hub.watch")
async def find(  # noqa: PLR0913 - the form of a search
    hub: Hub,
    viewer: Viewer,
    *,
    text: Sensitive = "",
    kind: Plain = "",
    sender: Plain = "",
    destination: Plain = "",
    state: Plain = "",
    minutes: int = 0,
    before: int = 0,
    message: int = 0,
) -> View:
    """Messages by any field and time. A POST: what is looked for stands in no address."""
    asked = MessageSearch(
        text=text,
        kind=kind,
        sender=sender,
        destination=destination,
        state=state,
        since=viewer.now - timedelta(minutes=minutes) if minutes else None,
        before=before,
    )
    return await _shown(hub, viewer, asked, minutes, message)


async def _shown(
    hub: Hub, viewer: Viewer, asked: MessageSearch, minutes: int, message: int
) -> View:
    found = await hub.messages(asked)
    chosen = message or (found.messages[0].seq if found.messages else 0)
    now = await hub.overview()
    failing = [one for one in now.lines if one.is_receiver and one.state is not LineState.OK]
    return view(
        "console.html",
        now=now,
        map=map_of(now.lines),
        chart=throughput_of(now.throughput, viewer),
        failing=failing[:_FAILING_MAX],
        down=sum(1 for one in now.lines if one.state is LineState.DOWN),
        degraded=sum(1 for one in now.lines if one.state is LineState.DEGRADED),
        found=found,
        asked=asked,
        minutes=minutes,
        chosen=chosen,
        trace=await hub.trace(chosen) if chosen else None,
        opened=None,
    )


@action("/hub/open", title="打开报文原文", permission="hub.read-message")
async def open_text(hub: Hub, seq: int, reason: Plain) -> View:
    """The text with its bytes; who looked and why is kept."""
    return view("opened.html", opened=await hub.open_message(seq, reason))


@page(
    SYSTEMS,
    title="院外系统",
    title_en="Outside systems",
    permission="hub.watch",
    icon="network",
)
async def systems(hub: Hub, viewer: Viewer) -> View:
    """Every outside system and how it is doing; what waits and what was given up."""
    return view(
        "systems.html",
        statuses=await hub.systems(),
        dead=await hub.letters(LetterState.DEAD, _SHOWN_MAX),
        waiting=await hub.letters(LetterState.PENDING, _SHOWN_MAX),
        now=viewer.now,
    )


@action("/hub/replay-all", title="批量重放死信", permission="hub.replay")
async def replay_all(viewer: Viewer, hub: Hub, destination: Plain, reason: Plain) -> Go:
    count = await hub.replay_all(destination, reason)
    return Go(CONSOLE, said=viewer.say(f"已重放 {count} 条", f"{count} sent again"))


@action("/hub/replay", title="重新投递", permission="hub.replay")
async def replay(
    viewer: Viewer,
    hub: Hub,
    *,
    seq: int,
    destination: Plain,
    key: Sensitive,
    reason: Plain,
    back: Plain = "",
) -> Go:
    await hub.replay(seq, destination, key, reason)
    to = f"{CONSOLE}?message={seq}" if back else SYSTEMS
    return Go(to, said=viewer.say("已重新投递", "Sent again"))


@home("hub.watch")
async def at_home(viewer: Viewer, hub: Hub) -> Home:
    """How many dead letters wait for a person."""
    statuses = await hub.systems()
    dead = await hub.letters(LetterState.DEAD, _SHOWN_MAX)
    if not dead:
        line = viewer.say(
            f"{len(statuses)} 个院外系统，没有死信", f"{len(statuses)} systems, no dead letters"
        )
        return Home(tile=line)
    return Home(
        tile=viewer.say(f"{len(dead)} 封死信待处理", f"{len(dead)} dead letters"),
        tone="warn",
        badge=len(dead),
        todos=(
            TodoItem(
                viewer.say(f"{len(dead)} 封死信", f"{len(dead)} dead letters"),
                viewer.say("查明原因后重新投递", "Find the cause, then send again"),
                f"{CONSOLE}?state=dead",
                viewer.say("处理", "Open"),
            ),
        ),
    )
