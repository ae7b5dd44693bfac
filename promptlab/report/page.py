"""The page, put together: sections drawn here, the reading room's data beside them, style and script inside."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from promptlab.claims import claims
from promptlab.finished import Run
from promptlab.report import further
from promptlab.report.board import board
from promptlab.report.confusion import confusion
from promptlab.report.cost import cost
from promptlab.report.effects import effects
from promptlab.report.judges import judges
from promptlab.report.log import read_log
from promptlab.report.marks import joined, text
from promptlab.report.race import race
from promptlab.report.room import chosen, packed, room
from promptlab.report.running import sentence
from promptlab.report.source import Source, read_source
from promptlab.tested import tested
from promptlab.unit import Unit, unit_of
from promptlab.verdict import EMBEDDED, verdict
from promptlab.write import write_text

SCRIPTS = ("data.js", "theme.js", "tables.js", "filter.js", "grid.js", "detail.js", "diff.js", "room.js", "live.js")
REPORT = "report.html"
Section = tuple[str, str, Markup]


def page(folder: str | Path, *, served: bool = False) -> str:
    """The page of the run in a folder: finished, or as far as its rounds are closed.

    ``served``: it may ask the server that it came from how the run goes on; otherwise it asks nobody for anything.
    Raises BadInput where there is no run.
    """
    return drawn(read_source(Path(folder)), served=served)


def write(folder: str | Path, run: Run | None = None) -> Path:
    """Write report.html into a run's folder; where it is. ``run``: the finished run, where it is at hand."""
    folder = Path(folder)
    source = read_source(folder) if run is None else Source(run, read_log(folder), whole=True)
    write_text(folder / REPORT, drawn(source))
    return folder / REPORT


def drawn(source: Source, *, served: bool = False) -> str:
    """A run as HTML."""
    run = source.run
    kept = chosen(run)
    total = len(run.findings.search.predictions) + len(run.findings.test)
    shown, messages = room(run, kept)
    values = {
        "experiment": run.prepared.experiment.name,
        "run": run.id,
        "engine": run.findings.engine,
        "verdict": _verdict(run) if source.whole else _provisional(source),
        "sections": sections(source, served=served),
        "live": served and not source.whole,
        "left": total - len(kept),
        "kept": len(kept),
        "facts": embedded({"live": served and not source.whole, "calls": sum(source.log.calls.values()),
                           "rounds": len(source.log.rounds)}),
        "room": embedded(packed(shown)),
        "messages": embedded(packed(messages)),
    }  # fmt: skip
    return _filled(values, served=served)


def waiting(said: str) -> str:
    """The page of a run that has closed no round yet."""
    nothing = {"variants": [], "baseline": -1, "inputs": [], "examples": [], "columns": {"variant": []}, "texts": []}
    values: dict[str, Any] = {
        "experiment": "promptlab", "run": "", "engine": "", "verdict": [said], "sections": [], "live": True, "left": 0,
        "kept": 0, "facts": embedded({"live": True, "calls": 0, "rounds": 0}), "room": embedded(packed(nothing)),
        "messages": embedded(packed({"texts": [], "prompts": [], "asked": []})),
    }  # fmt: skip
    return _filled(values, served=True)


def sections(source: Source, *, served: bool = False) -> list[Section]:
    """What is drawn before the reading room, in order; a section without numbers is not there."""
    run, unit = source.run, _unit(source.run)
    base = run.findings.search.view.variants[0].id
    made = [
        ("board", "Leaderboard", board(run.rows, unit)),
        ("metrics", "Further metrics", further.metrics(run.rows, run.columns)),
        ("cost", "Score against cost", cost(run.rows, unit)),
        ("race", "The race", race(run.rows, source.log, base)),
        ("effects", "Slot effects", effects(run, unit)),
        ("retrieval", "Retrieval", _retrieved(source, unit)),
        ("choice", "Prompting, retrieval or fine-tuning", further.choice(run.folder, linked=not served)),
        ("confusion", "Confusion", confusion(run)),
        ("provenance", "Provenance", _provenance(run)),
    ]
    return [(key, title, drawing) for key, title, drawing in made if drawing is not None]


def embedded(value: Any) -> Markup:
    """JSON that no parser of HTML can take for markup, whatever texts it holds."""
    said = json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e")
    return Markup(said.replace("&", "\\u0026"))  # noqa: S704 - no markup is left in it


def _retrieved(source: Source, unit: Unit) -> Markup | None:
    """What retrieval is worth; while a run goes on only what was found, for that is no advice."""
    run = source.run
    return further.retrieved(run, unit) if source.whole else further.retrieval(run.rows, run.columns)


def _provenance(run: Run) -> Markup | None:
    made = [each for each in (further.provenance(run.folder), judges(run.prepared.experiment)) if each is not None]
    return joined(made) if made else None


def _provisional(source: Source) -> list[str]:
    """What can be said of a run that goes on: not a word of its verdict."""
    closed = len(source.log.rounds)
    count = "1 round is" if closed == 1 else f"{closed:,} rounds are"
    engine = [EMBEDDED] if "embedded" in source.run.findings.engine.split() else []
    return [sentence(source.run), f"{count} closed; what follows is dev alone, and may still change.", *engine]


def _verdict(run: Run) -> list[str]:
    search = run.prepared.experiment.search
    return verdict(run.findings, run.rows, claims=claims(run.prepared, run.findings), costs=search.costs)


def _unit(run: Run) -> Unit:
    return unit_of([run.findings.search.view.scores, *tested(run.findings).scores.values()])


def _filled(values: dict[str, Any], *, served: bool) -> str:
    from jinja2 import Environment

    style, script = asset("page.css"), "".join(asset(name) for name in SCRIPTS)
    policy = (
        f"default-src 'none'; script-src 'sha256-{_digest(script)}'; style-src 'sha256-{_digest(style)}'; "
        f"connect-src {chr(39) + 'self' + chr(39) if served else chr(39) + 'none' + chr(39)}; "
        "base-uri 'none'; form-action 'none'"
    )
    environment = Environment(autoescape=True, finalize=text, keep_trailing_newline=True)
    template = environment.from_string(asset("page.html"))
    # the two are ours, and their digests stand in the policy: not a byte may change
    fixed = {"style": Markup(style), "script": Markup(script), "policy": policy}  # noqa: S704
    return template.render(**values, **fixed)


@cache
def asset(name: str) -> str:
    """A file that comes with the page."""
    return files("promptlab.report").joinpath("assets", name).read_text(encoding="utf-8")


def _digest(said: str) -> str:
    return base64.b64encode(hashlib.sha256(said.encode()).digest()).decode()
