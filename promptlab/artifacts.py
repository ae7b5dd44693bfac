"""What a finished run leaves beside its log: results.csv, predictions.csv, prompts/, manifest.json."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from promptlab import capabilities
from promptlab.errors import BadInput
from promptlab.experiment import canonical
from promptlab.finished import Run
from promptlab.folder import project_of
from promptlab.reads import rows_hash
from promptlab.records import Message, Variant
from promptlab.shelf import STANDING_IN
from promptlab.store import Store
from promptlab.version import __version__
from promptlab.write import write_csv, write_text

MANY = 100_000  # predictions past which a parquet file stands beside the CSV, where pyarrow is there
LIBRARIES = ("jinja2", "numpy", "openai", "pandas", "scipy", "tiktoken")


def write_artifacts(run: Run, store: Store) -> None:
    """Write every table of the run, and of a whole run the copy of results.csv beside experiment.yaml."""
    folder, found = run.folder, run.findings
    store.note("test_reads", run.test_reads)
    if len(found.search.predictions) + len(found.test) > MANY:
        _write_parquet(run)
    _write_prompts(run)
    write_text(folder / "manifest.json", json.dumps(manifest(run, store), indent=2, ensure_ascii=False) + "\n")
    write_tables(run)
    if run.whole:
        _write_results(run, run.prepared.experiment.folder)


def write_tables(run: Run) -> None:
    """Write results.csv and predictions.csv into the run's folder."""
    write_csv(run.folder / "predictions.csv", *run.predicted())
    _write_results(run, run.folder)


def _write_results(run: Run, folder: Path) -> None:
    write_csv(folder / "results.csv", run.columns, ([row.get(name) for name in run.columns] for row in run.rows))


def manifest(run: Run, store: Store) -> dict[str, Any]:
    """What the run was made from and what it took: enough to tell two runs apart, and to make one again."""
    prepared, found = run.prepared, run.findings
    experiment, rows = prepared.experiment, prepared.rows
    taken = store.totals()
    budget = asdict(experiment.search.budget)
    return {
        "run": run.id,
        "experiment": experiment.name,
        "engine": found.engine,
        "promptlab": __version__,
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "settings": canonical(experiment),
        **({"corpus": _corpus(run)} if prepared.task.shelf else {}),
        "hashes": hashes(run) | {"files": {name: _sha256(each) for name, each in sorted(store.inputs().items())}},
        "rows": {"train": len(rows.train), "dev": len(rows.dev), "test": len(rows.test)},
        "space": prepared.space.size,
        "variants": len(found.search.view.variants),
        "refused": dict(found.search.refused),
        "seeds": {"experiment": experiment.seed, "split": experiment.data.split.seed, "resampling": found.seed},
        "capabilities": capabilities.of(experiment, project_of(experiment.path)),  # as far as doctor was asked
        "left_out": store.fact("left_out") or {},  # defaults of promptlab's own that the endpoint rejects
        "answered_as": found.answered_as,
        "budget": budget,
        "calls": sum(count for count, _ in taken.values()),
        "calls_by_purpose": {purpose: count for purpose, (count, _) in taken.items()},
        "list_usd": math.fsum(usd for _, usd in taken.values()),
        "spent_usd": store.spent(),
        "test_reads": run.test_reads,
    }


def _corpus(run: Run) -> dict[str, Any]:
    """What passages were found in: documents, those dropped as equal, passages by chunking."""
    library = run.prepared.task.shelf.library if run.prepared.task.shelf else None
    if library is None or not library.settings.retrieving:
        return {}
    passages = {name: len(library.pool(name).passages) for name in library.settings.chunks}
    found = {"documents": len(library.documents), "duplicates": len(library.duplicates), "passages": passages}
    return found | ({"skipped": list(library.skipped)} if library.skipped else {})


def hashes(run: Run) -> dict[str, Any]:
    """sha256 of what a run was made from: settings, templates, bank, the rows of dev and of test."""
    prepared = run.prepared
    rows, bank = prepared.rows, prepared.task.bank
    return {
        "experiment": _sha256(json.dumps(canonical(prepared.experiment), sort_keys=True, default=str).encode()),
        "templates": {name: each.hash for name, each in prepared.task.templates.items()},
        "bank": bank.hash if bank else None,
        **({"corpus": prepared.task.shelf.library.hash} if prepared.task.shelf else {}),
        "data": _sha256(
            json.dumps([[each.id, dict(each.inputs), each.label] for each in rows.all], default=str).encode()
        ),
        "dev": rows_hash(rows.dev),
        "test": rows_hash(rows.test) if rows.test else None,
    }


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _write_prompts(run: Run) -> None:
    """prompts/VARIANT.md: what each variant asks, rendered on the first dev row; of an ensemble, every member."""
    task, example = run.findings.task, run.prepared.rows.dev[0]

    def asked(variant: Variant) -> tuple[Variant, tuple[Message, ...]]:
        prompt = task.prompt(variant)
        return variant, prompt.messages(example, prompt.shown(example).passages)

    for variant in run.findings.search.view.variants:
        path, members = run.folder / "prompts" / f"{variant.id}.md", variant.members or (variant,)
        if not path.exists():
            try:
                page = _shown(variant, [asked(each) for each in members], example.id)
                exact = all(task.prompt(each).shown(example).exact for each in members)
                write_text(path, page if exact else f"{page}\n{STANDING_IN}\n")
            except BadInput as error:
                write_text(path, f"{error}\n")


def _shown(variant: Variant, asked: Sequence[tuple[Variant, tuple[Message, ...]]], row: str) -> str:
    head = f"# {variant.id}\n\n{_listed(variant)}\n- row: {_one_line(row)}\n\n"
    if not variant.members:
        return head + _turns(asked[0][1]) + "\n"
    weights = [weight for _, weight in variant.slots["ensemble"]]
    parts = [
        f"# Member {place} of {len(asked)}: {member.id}, weight {weight}\n\n{_listed(member)}\n\n{_turns(messages)}\n"
        for place, (weight, (member, messages)) in enumerate(zip(weights, asked, strict=True), 1)
    ]
    return head + "\n".join(parts)


def _listed(variant: Variant) -> str:
    return "\n".join(f"- {name}: {_one_line(value)}" for name, value in variant.slots.items())


def _turns(messages: tuple[Message, ...]) -> str:
    return "\n\n".join(f"## {each.role}\n\n{_fenced(each.content)}" for each in messages)


def _one_line(value: object) -> str:
    """A value on one line of Markdown; text of several lines as JSON."""
    text = str(value)
    return text if len(text.splitlines()) <= 1 else json.dumps(text, ensure_ascii=False)


def _fenced(text: str) -> str:
    """The text in a fence that is longer than any run of backticks in it."""
    fence = "`" * (1 + max([2, *(len(run) for run in re.findall("`+", text))]))
    return f"{fence}text\n{text}\n{fence}"


def _write_parquet(run: Run) -> None:
    """The CSV holds everything; parquet is the extra for large sets. A column of mixed types goes in as text."""
    with contextlib.suppress(ImportError):
        table = run.predictions
        mixed = {name: "string" for name in table.columns if table[name].dtype == object}
        table.astype(mixed).to_parquet(run.folder / "predictions.parquet")
