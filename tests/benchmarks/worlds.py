"""Made-up models whose truth is known: an instruction is a set of cues, each with a true effect.

A row is answered right where the cues' effects outweigh its difficulty; every cue means more to some rows than to
others. Rewriting keeps most cues, drops some and adds others; shown mistakes, it adds a cue that helps one of them
every second time. The true score of an instruction is its share of right answers on rows that no search sees.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LABELS = ("billing", "delivery", "access")
BASE = "Decide what each message is about: billing, delivery or access. Answer with that word in <final_answer> tags."
WORDS = [
    "names", "dates", "refunds", "parcels", "passwords", "invoices", "couriers", "logins",
    "charges", "tracking", "accounts", "receipts", "addresses", "codes", "fees", "returns",
    "devices", "statements", "depots", "locks", "taxes", "windows", "resets", "vouchers",
]  # fmt: skip
CUES = tuple(f"Mind the {word} first." for word in WORDS)
ROW = re.compile(r"\[case (\d+)\]")


@dataclass(frozen=True)
class Kind:
    """How effects spread (logits), how much they differ from row to row, and how hard rows are."""

    good: float
    spread: float
    own: float
    start: float


KINDS = {
    "few good cues": Kind(-0.15, 0.45, 0.6, -0.2),
    "many small cues": Kind(0.0, 0.3, 0.4, 0.0),
    "nothing to find": Kind(0.0, 0.0, 0.5, 0.4),
}


@dataclass
class World:
    """One made-up model. ``seen`` counts equal meta requests, so that each is answered anew."""

    kind: str
    seed: int
    rows: int = 200
    hidden: int = 4000
    seen: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kind, rng = KINDS[self.kind], np.random.default_rng([self.seed, zlib.crc32(self.kind.encode())])
        whole = self.rows + self.hidden
        self.effects = rng.normal(kind.good, kind.spread, len(CUES))
        self.gains = self.effects[:, None] + kind.own * rng.normal(0, 1, (len(CUES), whole)) / 2
        self.hard = rng.normal(-kind.start, 1.5, whole)
        self.labels = rng.integers(0, len(LABELS), whole)

    def right(self, cues: frozenset[int]) -> np.ndarray:
        """Which rows (those of the search first) these cues answer right."""
        return np.asarray(self.gains[sorted(cues)].sum(axis=0) > self.hard)

    def truth(self, text: str) -> float:
        """The true score of an instruction."""
        return float(self.right(cues_of(text))[self.rows :].mean())

    def best(self) -> float:
        """The score that adding, dropping and swapping cues cannot raise, from the truth itself."""
        cues: frozenset[int] = frozenset()
        score = self.right(cues)[self.rows :].mean()
        while True:
            near = [(self.right(cues ^ {k})[self.rows :].mean(), cues ^ {k}) for k in range(len(CUES))]
            top, found = max(near, key=lambda each: each[0])
            if top <= score:
                return float(score)
            score, cues = top, found

    def message(self, row: int) -> str:
        """The input of a row."""
        return f"[case {row}] please see to this"

    def answer(self, body: Any) -> str:
        """What the model says to a chat request, of a task or of one who writes prompts."""
        text = "\n".join(str(each["content"]) for each in body["messages"])
        rows = [int(each) for each in ROW.findall(text)]
        last = str(body["messages"][-1]["content"]).rstrip()
        if rows and last.endswith("please see to this"):
            return self._label(rows[-1], cues_of(text))
        shown = "\n".join(str(each["content"]) for each in body["messages"] if each["role"] == "user")
        return self._written(text, shown, rows)

    def _label(self, row: int, cues: frozenset[int]) -> str:
        right = bool(self.right_at(row, cues))
        label = self.labels[row] if right else (self.labels[row] + 1 + row % 2) % len(LABELS)
        return f"<final_answer>{LABELS[label]}</final_answer>"

    def right_at(self, row: int, cues: frozenset[int]) -> bool:
        """Whether one row is answered right."""
        return bool(self.gains[sorted(cues), row].sum() > self.hard[row])

    def _written(self, text: str, shown: str, rows: list[int]) -> str:
        key = zlib.crc32(text.encode())
        self.seen[key] = self.seen.get(key, 0) + 1
        rng = np.random.default_rng([self.seed, key, self.seen[key]])
        if "json format" in text:
            return json.dumps([self._text(self._changed(frozenset(), [], rng)) for _ in range(10)])
        made = self._text(self._changed(cues_of(shown), rows, rng))
        return f"<prompt>{made}</prompt>" if "<prompt>" in text else f"```\n{made}\n```"

    def _changed(self, cues: frozenset[int], rows: list[int], rng: np.random.Generator) -> frozenset[int]:
        kept = {k for k in sorted(cues) if rng.random() < 0.85}
        wrong = [row for row in rows if row < self.rows and not self.right_at(row, cues)]
        for _ in range(int(rng.integers(1, 3))):
            new = int(rng.integers(len(CUES)))
            if wrong and rng.random() < 0.5:
                gains = self.gains[:, int(rng.choice(wrong))]
                new = int(rng.choice(np.argsort(gains)[-5:]))
            kept.add(new)
        return frozenset(kept)

    def _text(self, cues: frozenset[int]) -> str:
        return " ".join([BASE, *(CUES[k] for k in sorted(cues))])


def cues_of(text: str) -> frozenset[int]:
    """The cues that a text holds."""
    return frozenset(k for k, cue in enumerate(CUES) if cue in text)
