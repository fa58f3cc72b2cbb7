"""Pictures of the running demo, for the README and for comparing with the design.

``python -m tests.browser.screenshots docs/images --url http://127.0.0.1:8000`` while
``plugward up --demo`` runs. A page this hospital does not have is named, and makes the exit code 1.
Pictures are kept small: WebP, drawn by the browser itself.
"""

import argparse
import sys
from base64 import b64decode
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import sync_playwright

from tests.browser.harness import FLAGS, Watched, chromium_path, new_tab

SETTLE_MS = 1_500  # panels, charts
QUALITY = 82
DESK, WALL = (1440, 900), (1920, 1080)


class Picture(NamedTuple):
    name: str
    staff_no: str
    path: str
    size: tuple[int, int] = DESK
    steps: tuple[str, ...] = ()  # what is clicked or, after "key:", pressed; one after another


PICTURES = (
    Picture("01-login", "", "/login"),
    Picture("02-home", "D10247", "/"),
    Picture("03-doctor", "D10247", "/clinic", steps=(".q .who2", "key:Alt+r", "key:Enter")),
    Picture("04-cashier", "C10036", "/billing/cashier", steps=("#billing-waiting .q",)),
    Picture("05-pharmacy", "P10043", "/pharmacy/window", steps=("#pharmacy-queue .q",)),
    Picture("06-calling", "TV1001", "/calling/screen", WALL),
    Picture("08-cockpit", "M10001", "/datacentre/cockpit", DESK),
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
    is_whole = True
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        for picture in PICTURES:
            if options.only in picture.name:
                tab = new_tab(browser, options.url, size=picture.size)
                told = _take(tab, picture, options.folder)
                is_whole &= told == "taken"
                _say(f"{picture.name} {told}")
                tab.context.close()
        browser.close()
    return 0 if is_whole else 1


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _keep(tab: Watched, path: Path) -> None:
    """As WebP by the browser, which needs no other tool for it."""
    session = tab.context.new_cdp_session(tab.page)
    shot = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    path.write_bytes(b64decode(shot["data"]))
    session.detach()


def _take(tab: Watched, picture: Picture, folder: Path) -> str:
    """Open the page as its person and take the picture; says how it went."""
    if picture.staff_no:
        tab.sign_in(picture.staff_no, picture.path)
    response = tab.page.goto(tab.url + picture.path)
    if response is None or response.status >= 400:
        return f"left out: {picture.path} answers {response.status if response else 'nothing'}"
    tab.page.wait_for_timeout(SETTLE_MS)
    for step in picture.steps:
        if step.startswith("key:"):
            tab.press(step.removeprefix("key:"))
        elif tab.page.locator(step).count():
            tab.page.locator(step).first.click()
        tab.page.wait_for_timeout(SETTLE_MS)
    _keep(tab, folder / f"{picture.name}.webp")
    complaints = [*tab.complaints, *tab.forbidden]
    if picture.path == "/portal/states":  # it shows a panel that fails
        complaints = [said for said in complaints if "/portal/states/broken" not in said]
    return f"taken, with complaints: {complaints}" if complaints else "taken"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
