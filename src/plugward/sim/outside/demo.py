"""The demo's outside systems: who may send to the hub, and a laboratory system that is sent to.

They are told to the hub the way an integration engineer would, and again at every start.
"""

from plugward.commons.hub.contract import Hub, System
from plugward.kernel.envelope import ALL_CAMPUSES, Actor, ActorKind, acting_as
from plugward.kernel.runtime import Runtime
from plugward.kit.ids import new_id
from plugward.vocabulary import CampusCode

from .lis import SimulatedLis
from .payment import PaymentChannel
from .registration import RegistrationSystem

ENGINEER = Actor(
    id="system:preparation",
    kind=ActorKind.SYSTEM,
    permissions=frozenset({"hub.configure"}),
    campuses=ALL_CAMPUSES,
)
LOOPBACK = ("127.0.0.0/8", "::1/128")


def senders() -> tuple[System, ...]:
    """What any MLLP client on this machine may play."""
    return (
        System(
            code="REG-C1",
            name="主院区原挂号系统（模拟）",
            campus=CampusCode("C1"),
            application="REG",
            facility="C1",
            networks=LOOPBACK,
            may_send=("ADT^A04", "ADT^A08", "ADT^A28", "ADT^A31"),
        ),
        System(
            code="MPI-C1",
            name="主院区原主索引（模拟）",
            campus=CampusCode("C1"),
            application="MPI",
            facility="C1",
            networks=LOOPBACK,
            may_send=("ADT^A31", "ADT^A40"),
        ),
        System(
            code="LIS-C1",
            name="主院区检验仪器工作站（模拟）",
            campus=CampusCode("C1"),
            application="LIS",
            facility="C1",
            networks=LOOPBACK,
            may_send=("ORU^R01",),
        ),
    )


def laboratory(port: int) -> System:
    """The east campus's laboratory system, which takes our requests."""
    return System(
        code="LIS-C2",
        name="东院区检验系统（模拟）",
        campus=CampusCode("C2"),
        application="LIS",
        facility="C2",
        networks=LOOPBACK,
        may_send=("ORU^R01",),
        takes=("lab.order",),
        host="127.0.0.1",
        port=port,
        charset="GB 18030-2000",
    )


async def connect_registration(runtime: Runtime) -> RegistrationSystem | None:
    """The main campus's old registration system, as the hub's sender; nothing without a hub."""
    if "hub" not in runtime.plugged:
        return None
    with acting_as(ENGINEER, request=new_id()):
        await runtime.client(Hub).configure(senders()[0])
    return RegistrationSystem("127.0.0.1", runtime.plugged["hub"].service.port)


async def connect_systems(runtime: Runtime) -> SimulatedLis | None:
    """Start the outside systems and tell the hub who is there; nothing without a hub."""
    if "hub" not in runtime.plugged:
        return None
    runtime.plugged["hub"].service.connect("payment-channel", PaymentChannel())
    lis = SimulatedLis(facility="C2", charset="GB 18030-2000")
    port = await lis.start()
    hub = runtime.client(Hub)
    for system in (*senders(), laboratory(port)):
        with acting_as(ENGINEER, request=new_id()):
            await hub.configure(system)
    return lis
