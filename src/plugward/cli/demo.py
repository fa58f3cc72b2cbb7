"""``plugward demo``: what the demo hospital tells its visitor."""

from pathlib import Path

from rich.console import Console
from rich.table import Table


def logins(data: Path) -> int:
    """Print the demo log-ins of a folder; 2 when there are none."""
    from plugward.commons.identity.demo import read_logins

    console = Console()
    found = read_logins(data)
    if not found:
        console.print(
            f"{data} has no demo log-ins. Start it once: plugward up --demo --data {data}"
        )
        return 2
    table = Table(box=None, pad_edge=False)
    for heading in ("role", "name", "staff number", "password"):
        table.add_column(heading)
    for login in found:
        table.add_row(login.role, login.name, login.staff_no, login.password)
    console.print(table)
    return 0
