"""Screenshots of a run's page, as the README shows them: python tests/benchmarks/screenshots.py OUT [RUN].

OUT is a folder; RUN a run's folder. Without one, a copy of the support experiment is mined with the embedded engine.
Every picture is a PNG below 150 kB: page-light.png and page-dark.png (verdict and leaderboard), race.png, room.png (the
reading room), choice.png (`choose` on the questions about products; RUN leaves it out).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from report_run import browsing

from promptlab.choice.choose import choose
from promptlab.choice.chosen import PAGE
from promptlab.choice.planned import planned
from promptlab.prepare import Prepared, opened
from promptlab.report import write
from promptlab.run import mine

ROOT = Path(__file__).parents[2]
MOST = 150_000  # bytes of a picture


def copied(name: str) -> Prepared:
    """A sample, in a copy of them all."""
    place = Path(tempfile.mkdtemp())
    for each in ("experiments", "templates"):
        shutil.copytree(ROOT / each, place / each, ignore=shutil.ignore_patterns("runs", "results.csv", "splits.csv"))
    return opened(place / "experiments" / name / "experiment.yaml")


def choice(out: Path) -> None:
    """Choose among the arms of the questions about products, and take the page's table."""
    prepared = copied("product_qa")
    choose(planned(prepared, prepared.experiment.choose))
    with browsing(viewport={"width": 1120, "height": 900}) as context:
        page = context.new_page()
        page.goto((prepared.experiment.folder / PAGE).resolve().as_uri())
        page.locator("#arms").screenshot(path=out / "choice.png")


def opened_page(context: Any, path: Path, scheme: str) -> Any:
    """The page, ready."""
    page = context.new_page()
    page.emulate_media(color_scheme=scheme)
    page.goto(path.resolve().as_uri())
    page.wait_for_selector("html[data-ready]")
    return page


def pictures(path: Path, out: Path) -> None:
    """Take them all."""
    with browsing(viewport={"width": 1280, "height": 760}) as context:
        for scheme in ("light", "dark"):
            opened_page(context, path, scheme).screenshot(path=out / f"page-{scheme}.png")
        page = opened_page(context, path, "light")
        page.locator("#race svg.broad").screenshot(path=out / "race.png")
        page.select_option("#f-outcome", "fixed")
        page.locator("#grid .row").nth(2).click()
        page.wait_for_selector("#detail .message")
        page.locator("#detail select").select_option(index=2)
        page.locator("#detail").scroll_into_view_if_needed()
        page.evaluate("document.getElementById('room').scrollIntoView()")
        page.screenshot(path=out / "room.png")


def main() -> None:
    """Make the pictures and say how large they are."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    given = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    pictures(write(given or mine(copied("support_intent")).folder), out)
    if given is None:
        choice(out)
    for path in sorted(out.glob("*.png")):
        size = path.stat().st_size
        print(f"{path} {size / 1000:.0f} kB{' TOO LARGE' if size > MOST else ''}")


if __name__ == "__main__":
    main()
