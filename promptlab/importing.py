"""Implementations by name: ours from a folder's dict, a user's own as ``package.module:name``."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import importlib
import importlib.machinery
import inspect
import linecache
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, NoReturn

from promptlab.errors import BadInput, Problem, nearest
from promptlab.options import with_options

TAKES = {"proposer": ("n", "view", "rng"), "allocator": ("view", "rng")}


def implementation(kind: str, name: str, known: Mapping[str, str], base: Path, options: Mapping[str, Any]) -> Any:
    """The proposer or allocator that an experiment names, with its options bound and its arguments checked.

    ``base`` is the experiment's folder, importable first. BadInput: no such name, a failing import, wrong options.
    """
    who = f"{kind} {name!r}"
    if name not in known and ":" not in name:
        remedy = f"{nearest(name, known)} Your own is package.module:name."
        raise BadInput(Problem(f"{who}: there is no such {kind}", remedy=remedy))
    target = imported(who, known.get(name, name), base, known)
    return with_options(who, target, options, TAKES[kind])


def source_of(made: Any) -> str:
    """The text that decides what an implementation gives: its module's source and its options. Goes into RUN_ID.

    A built-in is its name, the hash of its module's source and its options.
    """
    target: Any = made
    options = ""
    if isinstance(target, functools.partial):
        options, target = repr(sorted(target.keywords.items())), target.func
    elif dataclasses.is_dataclass(target):
        options = repr(target)
    elif not inspect.isroutine(target):
        options = repr(sorted(getattr(target, "__dict__", {}).items()))
    home = inspect.unwrap(target) if inspect.isroutine(target) else type(target)
    name = f"{home.__module__}:{home.__qualname__}"
    # by the file of the code that runs: the module of that name may by now be another experiment's
    code = getattr(home if inspect.isroutine(home) else home.__call__, "__code__", None)
    linecache.checkcache(code.co_filename if code else None)
    source = "".join(linecache.getlines(code.co_filename)) if code else ""
    if home.__module__.startswith("promptlab."):
        return f"{name}@{hashlib.sha256(source.encode()).hexdigest()[:12]} {options}".strip()
    return f"{name} {options}".strip() + f"\n{source}"


def imported(who: str, address: str, base: Path, builtin: Iterable[str]) -> Any:
    """What ``module:name`` names; ``base`` and the current directory can be imported from, and come first.

    ``who`` opens the messages (``metric 'x:y'``); ``builtin`` are names that may have been meant instead. BadInput:
    no such module or name, or the import failed.
    """
    module_name, _, attribute = address.partition(":")
    if not all(each.isidentifier() for each in module_name.split(".")) or not attribute.isidentifier():
        raise BadInput(Problem(f"{who}: not of the form package.module:name", remedy=_meant(module_name, builtin)))
    try:
        with _importable(base, module_name):
            module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's module may raise anything when imported
        _failed(who, module_name, error, (base, _meant(module_name, builtin)))
    if not hasattr(module, attribute):
        public = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
        message = f"{who}: module {module_name!r} has no {attribute!r}"
        raise BadInput(Problem(message, path=module.__file__ or "", remedy=nearest(attribute, public)))
    return getattr(module, attribute)


@contextlib.contextmanager
def _importable(base: Path, module: str) -> Iterator[None]:
    """Put ``base`` and the current directory in front of the import path, for one import.

    A module of the same name that another experiment brought gives way; one of Python's or ours never does.
    """
    root = module.partition(".")[0]
    known = root in sys.stdlib_module_names or root == "promptlab"
    if known and module in sys.modules:  # it stays: looking through all folders again would change nothing
        yield
        return
    folders = [str(base.resolve()), str(Path.cwd())]
    importlib.invalidate_caches()
    here = importlib.machinery.PathFinder.find_spec(root, folders)
    there = getattr(sys.modules.get(root), "__spec__", None)
    if here and there and not known and _home(here) != _home(there):
        for each in [each for each in sys.modules if each == root or each.startswith(f"{root}.")]:
            del sys.modules[each]
    before = sys.path[:]
    sys.path[:0] = folders
    try:
        yield
    finally:
        sys.path[:] = before


def _home(spec: ModuleSpec) -> list[str]:
    """The file of a module, or the folders of a package without an ``__init__``."""
    return [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())


def _meant(module: str, builtin: Iterable[str]) -> str:
    close = nearest(module, builtin)
    return close if close.startswith("Did") else ""


def _failed(who: str, module: str, error: BaseException, hints: tuple[Path, str]) -> NoReturn:
    base, meant = hints
    if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
        looked = f"It is looked for in {base.resolve()}, in {Path.cwd()} and among the installed packages."
        raise BadInput(
            Problem(f"{who}: there is no module {error.name!r}", remedy=f"{meant} {looked}".strip())
        ) from None
    path, line = _place(error)
    message = f"{who}: importing {module!r} failed: {type(error).__name__}: {error}"
    raise BadInput(Problem(message, path=path, line=line, remedy="Mend the module, then run again.")) from None


def _place(error: BaseException) -> tuple[str, int]:
    """File and line where an import failed: of the syntax error, or the innermost line outside the import system."""
    if isinstance(error, SyntaxError):
        return error.filename or "", error.lineno or 0
    place, trace = ("", 0), error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "importlib" not in file and file != __file__:
            place = file, trace.tb_lineno
        trace = trace.tb_next
    return place
