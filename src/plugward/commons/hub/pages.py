"""The hub's page: who is connected, what waits, and the dead letters that need a person."""

from plugward.kernel import Plain, Sensitive
from plugward.kernel.pages import (
    Go,
    Home,
    Place,
    TodoItem,
    View,
    Viewer,
    action,
    home,
    page,
    view,
)

from .contract import Hub, LetterState

SYSTEMS = "/hub/systems"
_SHOWN_MAX = 50


@page(
    SYSTEMS,
    title="集成平台",
    title_en="Integration hub",
    permission="hub.watch",
    place=Place.RAIL,
    icon="network",
    order=70,
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


@action("/hub/replay", title="重新投递", permission="hub.replay")
async def replay(
    viewer: Viewer, hub: Hub, seq: int, destination: Plain, key: Sensitive, reason: Plain
) -> Go:
    await hub.replay(seq, destination, key, reason)
    return Go(SYSTEMS, said=viewer.say("已重新投递", "Sent again"))


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
                SYSTEMS,
                viewer.say("处理", "Open"),
            ),
        ),
    )
