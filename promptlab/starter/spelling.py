"""Names of the user's columns and files inside what we write: variables and headings of a template, folders."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterable

from promptlab.experiment.data import TAKEN

_JINJA = ("caller", "context", "cycler", "dict", "joiner", "kwargs", "namespace", "range", "super", "varargs")
_OURS = ("demo", "form", "label", "reasoning", "task")  # what our templates call their own things
_LONGEST = 60


def variables(columns: Iterable[str]) -> dict[str, str]:
    """A variable of a template for each column: the column's own name where it can be one, else the nearest to it."""
    names: dict[str, str] = {}
    for column in columns:
        name = stem = _variable(column)
        number = 2
        while name in names:
            name, number = f"{stem}_{number}", number + 1
        names[name] = column
    return names


def _variable(column: str) -> str:
    """Letters, digits and _; no leading _ (templates may not read those), no digit first, no word that is taken."""
    name = column.strip("_")
    if not (column == name and name.isidentifier() and name == unicodedata.normalize("NFKC", name)):
        name = unicodedata.normalize("NFKD", column).encode("ascii", "ignore").decode().lower()
        name = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")[:_LONGEST] or "text"
    if not name[0].isalpha():
        name = f"c_{name}"
    taken = name in TAKEN or name in _JINJA or name in _OURS or keyword.iskeyword(name)
    return f"{name}_" if taken else name


def heading(column: str, otherwise: str) -> str:
    """The column's name as text of a template; ``otherwise`` where it could be read as a tag, or is no heading."""
    plain = column.isprintable() and not set(column) & set("{}#%") and 0 < len(column.strip()) <= _LONGEST
    return column.strip() if plain else otherwise


def slug(text: str) -> str:
    """A name for a folder out of any text."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "experiment"
