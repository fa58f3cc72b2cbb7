"""Outside 院外调用: carry a board's call to a service, and be honest about not knowing."""

import asyncio
import time
from typing import Any, Protocol

import msgspec

from plugward.kernel.codec import from_json, to_json
from plugward.kernel.envelope import current_call
from plugward.kernel.observe.meters import Meters
from plugward.kernel.refusals import Unavailable

ANSWER_S_MAX = 20.0


class Connector(Protocol):
    """Speaks one service's own protocol: JSON in, JSON out, or ``OSError``/``TimeoutError``."""

    async def __call__(self, body: bytes, /) -> bytes: ...


class HubOutside:
    """What boards are given as ``Outside``."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._connectors: dict[str, Connector] = {}

    def connect(self, service: str, connector: Connector) -> None:
        """From now on this service is reached by this connector."""
        self._connectors = {**self._connectors, service: connector}

    def disconnect(self, service: str) -> None:
        """From now on the service is unplugged."""
        self._connectors = {k: v for k, v in self._connectors.items() if k != service}

    async def send(self, service: str, body: msgspec.Struct, answer: type[Any]) -> Any:
        """One call. Raises ``Unavailable``: it may or may not have happened."""
        connector = self._connectors.get(service)
        if connector is None:
            raise Unavailable(service, "unplugged")
        began, outcome = time.perf_counter(), "unavailable"
        try:
            async with asyncio.timeout(_seconds_left()):
                raw = await connector(to_json(body))
            answered = from_json(raw, answer)
            outcome = "ok"
        except TimeoutError:
            raise Unavailable(service, "time-out") from None
        except OSError:
            raise Unavailable(service, "link") from None
        except msgspec.MsgspecError:
            # It answered, so it may have acted; what it said cannot be relied on.
            raise Unavailable(service, "answer") from None
        else:
            return answered
        finally:
            self._meters.count(f"hub.send.{service}", time.perf_counter() - began, outcome)


def _seconds_left() -> float:
    call = current_call()
    if call is None or call.deadline is None:
        return ANSWER_S_MAX
    return max(0.0, min(ANSWER_S_MAX, call.deadline - asyncio.get_running_loop().time()))
