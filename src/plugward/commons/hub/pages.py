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
async def replay(hub: Hub, seq: int, destination: Plain, key: Sensitive, reason: Plain) -> Go:
    await hub.replay(seq, destination, key, reason)
    return Go(SYSTEMS, said="已重新投递")


@home("hub.watch")
async def at_home(hub: Hub) -> Home:
    """How many dead letters wait for a person."""
    statuses = await hub.systems()
    dead = await hub.letters(LetterState.DEAD, _SHOWN_MAX)
    if not dead:
        return Home(tile=f"{len(statuses)} 个院外系统，没有死信")
    return Home(
        tile=f"{len(dead)} 封死信待处理",
        tone="warn",
        badge=len(dead),
        todos=(TodoItem(f"{len(dead)} 封死信", "查明原因后重新投递", SYSTEMS, "处理"),),
    )
