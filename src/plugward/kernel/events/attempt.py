"""Attempts 尝试: the border at which a board's own reaction or job may fail in any way."""

from collections.abc import Awaitable


async def attempt(run: Awaitable[None]) -> Exception | None:
    """What went wrong, whatever it was; the caller parks it or tells it, but never hides it."""
    try:
        await run
    except Exception as error:  # noqa: BLE001 - the event border
        return error
    return None
