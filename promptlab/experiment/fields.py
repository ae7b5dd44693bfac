"""The kinds of values in experiment.yaml: each with the sentence that a wrong one gets.

A refusal reads "`key` must PHRASE, not VALUE": the phrase is written here, the rest where it is reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from promptlab.bank import ORDERS, SELECTIONS
from promptlab.errors import nearest
from promptlab.experiment.sheet import shown
from promptlab.retrieve.order import ORDERS as ARRANGEMENTS


def refused(phrase: str, remedy: str = "", hide: bool = False) -> PydanticCustomError:
    """What a value must do or be; ``hide`` keeps the value out of the message."""
    return PydanticCustomError("plain", "{phrase}", {"phrase": phrase, "remedy": remedy, "hide": hide})


def must(phrase: str, test: Callable[[Any], bool], remedy: str = "", hide: bool = False) -> BeforeValidator:
    """A check whose failure reads "`key` must PHRASE, not VALUE"."""

    def check(value: Any) -> Any:
        if not test(value):
            raise refused(phrase, remedy, hide)
        return value

    return BeforeValidator(check)


def is_number(value: Any) -> bool:
    """Whether this is a finite number of a sane size (true and false are none)."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 1e18


def is_whole(value: Any) -> bool:
    """Whether this is a whole number; 1e3 is one."""
    return is_number(value) and value == int(value)


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise refused("be text", "Put it into quotes." if is_number(value) or value in (True, False) else "")
    if not value.strip() or "\0" in value:
        raise refused("be text")
    return value


def _several(value: Any) -> Any:
    items = value if isinstance(value, list) else [value]
    if not items:
        raise refused("hold at least one value", hide=True)
    return items


def _listed(value: Any) -> Any:
    items = _several(value)
    for place, item in enumerate(items):
        if any(item == other and type(item) is type(other) for other in items[:place]):
            raise refused(f"name each value once; {shown(item)} is there twice", "Remove one.", hide=True)
    return items


def one_of(*names: str) -> BeforeValidator:
    """A check that a value is one of these names."""

    def check(value: Any) -> Any:
        if not isinstance(value, str) or value not in names:
            raise refused(f"be {' or '.join([', '.join(names[:-1]), names[-1]])}", _near(value, names))
        return value

    return BeforeValidator(check)


def _near(value: Any, names: tuple[str, ...]) -> str:
    remedy = nearest(value, names) if isinstance(value, str) else ""
    return remedy if remedy.startswith("Did") else ""


def short(key: str, phrase: str = "be text or a mapping") -> BeforeValidator:
    """A short form: text alone stands for a mapping with this one key."""

    def check(value: Any) -> Any:
        if not isinstance(value, (str, dict)):
            raise refused(phrase)
        return {key: value} if isinstance(value, str) else value

    return BeforeValidator(check)


def _address(value: Any) -> Any:
    if value == "embedded":
        return value
    try:
        parts = urlsplit(value) if isinstance(value, str) else urlsplit("")
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise refused("be an http(s) address", hide=True) from None
    if not known or re.search(r"\s", value):
        raise refused("be an http(s) address, or `embedded`", _near(value, ("embedded",)))
    remedy = "Keys do not belong into files: name the environment variable in api_key_env."
    if "@" in parts.netloc:
        raise refused("be an address without user and password", remedy, hide=True)
    if re.search(r"(?i)(key|token|secret|sig|auth|password)[^=&]*=", parts.query) or parts.fragment:
        raise refused("be an address without a key in it, and without '#'", remedy, hide=True)
    return value


def _some(value: Any) -> Any:
    if not isinstance(value, (str, list, dict)) or not value:
        raise refused("be text, a list or a mapping")
    return value


_to_int = BeforeValidator(int)
Address = Annotated[str, BeforeValidator(_address)]
Text = Annotated[str, BeforeValidator(_text)]
Count = Annotated[int, _to_int, must("be a whole number above 0", lambda v: is_whole(v) and v > 0)]
Whole = Annotated[int, _to_int, must("be a whole number, 0 or above", lambda v: is_whole(v) and v >= 0)]
Positive = Annotated[float, must("be a number above 0", lambda v: is_number(v) and v > 0)]
Amount = Annotated[float, must("be a number, 0 or above", lambda v: is_number(v) and v >= 0)]
Share = Annotated[float, must("be a number from 0 to 1", lambda v: is_number(v) and 0 <= v <= 1)]
Sep = Annotated[str, must("be text", lambda v: isinstance(v, str) and v != "")]
Flag = Annotated[bool, must("be true or false", lambda v: isinstance(v, bool))]
Variable = Annotated[
    str,
    must(
        "be the name of an environment variable",
        lambda v: isinstance(v, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", v) is not None,
        "Name the variable that holds the key, like OPENAI_API_KEY; never write the key itself.",
        hide=True,
    ),
]
Counts = Annotated[list[Whole], BeforeValidator(_listed)]
Numbers = Annotated[list[Count], BeforeValidator(_listed)]
Texts = Annotated[list[Text], BeforeValidator(_listed)]
Some = Annotated[Any, BeforeValidator(_some)]


Select = Annotated[list[Annotated[str, one_of(*SELECTIONS)]], BeforeValidator(_listed)]
Order = Annotated[list[Annotated[str, one_of(*ORDERS)]], BeforeValidator(_listed)]
Arrangement = Annotated[list[Annotated[str, one_of(*ARRANGEMENTS)]], BeforeValidator(_listed)]
several = BeforeValidator(_several)
listed = BeforeValidator(_listed)
"""A list of at least one; one value alone is one. With ``listed`` each value stands there once."""
