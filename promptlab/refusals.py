"""What was turned away at the door, in sentences."""

from __future__ import annotations

from promptlab.admit import Refused

WORDS = {
    "leak": "it repeats a row that scores it",
    "placeholder": "its text has not each mark of its option once",
    "long": "its prompt is too long",
    "duplicate": "it is there already",
    "excluded": "it lies in a hole of the space",
    "outside": "it is no point of the space",
    "frozen": "it rewrites what is not open",
    "broken": "it cannot be rendered",
    "skew": "it asks a tuned model otherwise than it was taught",
    "failed": "calls failed",
}


def refusals(refused: Refused) -> list[str]:
    """One sentence per reason, the commonest first. Examples hold words of whoever proposed."""
    return [
        f"{said['count']:,} proposal{'s' if said['count'] > 1 else ''} turned away ({WORDS.get(reason, reason)}): "
        f"{said['example']}"
        for reason, said in sorted(refused.items(), key=lambda each: -each[1]["count"])
    ]
