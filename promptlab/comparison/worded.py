"""A retrieval in words: what tells it from the others of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from promptlab.retrieve.settings import NAME, NONE

SLOT = f"slot.{NAME}."
WORDS = {"retriever": "", "k": "k=", "chunk": "", "order": "", "query": "query ", "rerank": "rerank "}
_PLAIN = {"order": "best-first", "query": "input", "rerank": NONE}  # what goes without saying
QUERY = 20  # characters of a query's template


def words(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each row of results its retrieval: the retriever, k, and what else is not the same for all rows."""
    varying = [name for name in WORDS if len({row.get(SLOT + name) or _PLAIN.get(name, "") for row in rows} - {""}) > 1]
    queries = _distinct([str(row.get(f"{SLOT}query", "")) for row in rows])
    return [_said(row, varying, queries) for row in rows]


def _distinct(queries: Sequence[str]) -> dict[str, str]:
    """Long queries by their beginnings; those that begin alike with a number more."""
    made: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for query in dict.fromkeys(queries):
        text = " ".join(query.split())
        cut = text if len(text) <= QUERY else f"{text[: QUERY - 1].rstrip()}…"
        seen[cut] += 1
        made[query] = cut if seen[cut] == 1 else f"{cut} #{seen[cut]}"
    return made


def _said(row: Mapping[str, Any], varying: Sequence[str], queries: Mapping[str, str]) -> str:
    """A retrieval in words: k, and what else is not the same for all, or goes without saying."""
    if row[f"{SLOT}retriever"] in ("", NONE):
        return "closed book" if row[f"{SLOT}retriever"] else f"closed book ({row.get('template', '')})"
    given = {name: str(row.get(SLOT + name, "")) for name in WORDS if name in ("retriever", "k", *varying)}
    told = {name: value for name, value in given.items() if value and _PLAIN.get(name) != value}
    return " ".join(WORDS[name] + (queries[value] if name == "query" else value) for name, value in told.items())
