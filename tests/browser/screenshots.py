"""Pictures of the running demo, for the README and for comparing with the design.

``python -m tests.browser.screenshots docs/pictures --url http://127.0.0.1:8000`` while
``plugward up --demo`` runs. Pages that this hospital does not have are named and left out.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import sync_playwright

from tests.browser.harness import FLAGS, Watched, chromium_path, new_tab

SETTLE_MS = 1_500  # panels, charts
DESK, WALL = (1440, 900), (1920, 1080)


class Picture(NamedTuple):
    name: str
    staff_no: str
    path: str
    size: tuple[int, int] = DESK
    keys: tuple[str, ...] = ()


PICTURES = (
    Picture("01-login", "", "/login"),
    Picture("02-home", "D10247", "/"),
    Picture("03-doctor", "D10247", "/clinic", keys=("F4",)),
    Picture("04-cashier", "C10036", "/billing"),
    Picture("05-pharmacy", "P10043", "/pharmacy"),
    Picture("06-calling", "TV1001", "/calling/screen", WALL),
    Picture("08-cockpit", "M10001", "/datacentre/cockpit", WALL),
    Picture("11-boards", "A10001", "/portal/boards"),
    Picture("12-states", "A10001", "/portal/states"),
)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--only", default="", help="part of a picture's name")
    options = parser.parse_args(arguments)
    path = chromium_path()
    if path is None:
        _say("Chromium is not here; on Debian: apt-get install chromium")
        return 2
    options.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        for picture in PICTURES:
            if options.only in picture.name:
                tab = new_tab(browser, options.url, size=picture.size)
                _say(f"{picture.name} {_take(tab, picture, options.folder)}")
                tab.context.close()
        browser.close()
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _take(tab: Watched, picture: Picture, folder: Path) -> str:
    """Open the page as its person and take the picture; says how it went."""
    if picture.staff_no:
        tab.sign_in(picture.staff_no)
    response = tab.page.goto(tab.url + picture.path)
    if response is None or response.status >= 400:
        return f"left out: {picture.path} answers {response.status if response else 'nothing'}"
    tab.page.wait_for_timeout(SETTLE_MS)
    for key in picture.keys:
        tab.page.keyboard.press(key)
        tab.page.wait_for_timeout(SETTLE_MS)
    tab.page.screenshot(path=folder / f"{picture.name}.png")
    complaints = [*tab.complaints, *tab.forbidden]
    return f"taken, with complaints: {complaints}" if complaints else "taken"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
