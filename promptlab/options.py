"""Giving a user's options to a function or a class, checked before anything runs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from promptlab.errors import BadInput, Problem, nearest


def with_options(who: str, target: Any, options: Mapping[str, Any], takes: Sequence[str]) -> Any:
    """A class called with its options; a function with its options bound; checked to take ``takes`` after that.

    ``who`` opens the messages. BadInput: not callable, an unknown option, one that the class refuses, or the wrong
    number of arguments.
    """
    wanted = f"({', '.join(takes)})"
    if not callable(target):
        message = f"{who} is a {type(target).__name__}, not a function"
        raise BadInput(Problem(message, remedy=f"Name a function of {wanted}."))
    is_class = isinstance(target, type)
    _refuse_unknown(who, _names(target, skip=0 if is_class else len(takes)), options)
    made = _called(who, target, options) if is_class else _bound(target, options)
    if not callable(made):
        message = f"{who}: a {type(made).__name__} cannot be called"
        raise BadInput(Problem(message, remedy=f"Give it a __call__ of {wanted}."))
    try:
        inspect.signature(made).bind(*takes)
    except TypeError as error:
        message = f"{who} cannot be called with {wanted}: {error}"
        raise BadInput(Problem(message, remedy=f"It takes {wanted}; anything more needs a default.")) from None
    except ValueError:
        pass  # a compiled function need not tell its signature
    return made


def _bound(target: Any, options: Mapping[str, Any]) -> Any:
    return functools.partial(target, **options) if options else target


def _called(who: str, target: type, options: Mapping[str, Any]) -> Any:
    try:
        return target(**options)
    except Exception as error:  # noqa: BLE001 - a user's class may raise anything; built-ins raise ValueError
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise BadInput(Problem(f"{who}: {kind}{error}")) from None


def _refuse_unknown(who: str, names: Sequence[str] | None, options: Mapping[str, Any]) -> None:
    unknown = [] if names is None else [each for each in options if each not in names]
    if unknown:
        remedies = [nearest(each, names or ()) or "It takes no options." for each in unknown]
        raise BadInput(
            Problem(f"{who}: unknown option {each!r}", remedy=remedy)
            for each, remedy in zip(unknown, remedies, strict=True)
        )


def _names(target: Any, skip: int) -> list[str] | None:
    """The options that a callable takes by name, past its first ``skip``; None if any will do, or it does not tell."""
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return None
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return None
    named = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    return [each.name for each in parameters[skip:] if each.kind in named]
