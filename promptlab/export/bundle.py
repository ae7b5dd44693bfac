"""Of promptlab's own modules, the parts that performing a prompt takes: copied as they are, the rest left out."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

HOME = "promptlab"
_HEAD = (
    '"""Taken from promptlab (MIT): {name}, as far as it is needed here."""\n\nfrom __future__ import annotations\n\n'
)


@dataclass(slots=True)
class _Module:
    """One module: its top-level nodes by the names that they bind, imports among them, and what is needed of it."""

    name: str
    lines: list[str]
    body: list[ast.stmt]
    binds: dict[str, ast.stmt]
    needed: set[str] = field(default_factory=set)


def bundle(roots: Mapping[str, str]) -> dict[str, str]:
    """Files of a package that holds the named things (module → name) and all that they need, with relative imports."""
    modules: dict[str, _Module] = {}
    todo = [(module, name) for module, name in roots.items()]
    while todo:
        place, name = todo.pop()
        if place not in modules:
            modules[place] = _read(place)
        module = modules[place]
        if name in module.needed:
            continue
        module.needed.add(name)
        node = module.binds[name]
        if isinstance(node, ast.ImportFrom) and _ours(node):
            original = next(each.name for each in node.names if (each.asname or each.name) == name)
            todo.append(_home(str(node.module), original))
        elif not isinstance(node, (ast.Import, ast.ImportFrom)):
            todo += [(place, each) for each in _used(node) if each in module.binds]
    files = {f"{_short(name)}.py": _written(module) for name, module in sorted(modules.items())}
    return {"__init__.py": '"""What performs the prompt beside this package."""\n', **files}


def _home(module: str, name: str) -> tuple[str, str]:
    """Where a name is defined: through the packages that pass it on."""
    node = _read(module).binds[name]
    if isinstance(node, ast.ImportFrom) and _ours(node):
        return _home(str(node.module), next(each.name for each in node.names if (each.asname or each.name) == name))
    return module, name


def _ours(node: ast.ImportFrom) -> bool:
    return (node.module or "").split(".")[0] == HOME


def _short(module: str) -> str:
    return module.removeprefix(f"{HOME}.").replace(".", "_")


def _read(name: str) -> _Module:
    spec = find_spec(name)
    text = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    body = ast.parse(text).body
    binds: dict[str, ast.stmt] = {}
    for node in body:
        for bound in _bound(node):
            binds.setdefault(bound, node)
    return _Module(name, text.splitlines(), body, binds)


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from ((each.asname or each.name.split(".")[0]) for each in node.names)
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name))


def _used(node: ast.AST) -> Iterator[str]:
    """The names that run; an annotation is never looked at."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns") and not isinstance(node, ast.AnnAssign):
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.AST):
                yield from _used(each)
    if isinstance(node, ast.Name):
        yield node.id


def _written(module: _Module) -> str:
    imports, rest = [], []
    for node in module.body:
        wanted = [each for each in _bound(node) if each in module.needed and module.binds[each] is node]
        if not wanted:
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            imports.append(_import(node, wanted))
        else:
            first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
            rest.append("\n".join(module.lines[first - 1 : node.end_lineno]))
    std = sorted(each for each in imports if not each.startswith("from ."))
    own = sorted(each for each in imports if each.startswith("from ."))
    head = _HEAD.format(name=module.name)
    return head + "\n".join([*std, *own]) + "\n\n\n" + "\n\n\n".join(rest) + "\n"


def _import(node: ast.Import | ast.ImportFrom, wanted: list[str]) -> str:
    if isinstance(node, ast.Import):
        return "\n".join(f"import {each.name}" for each in node.names if each.name.split(".")[0] in wanted)
    kept = [each for each in node.names if (each.asname or each.name) in wanted]
    if not _ours(node):
        names = ", ".join(each.name + (f" as {each.asname}" if each.asname else "") for each in kept)
        return f"from {node.module} import {names}"
    lines = []
    for each in kept:
        home, name = _home(str(node.module), each.name)
        lines.append(f"from .{_short(home)} import {name}" + (f" as {each.asname}" if each.asname else ""))
    return "\n".join(lines)


def standard(files: Mapping[str, str]) -> set[str]:
    """The packages that the files import besides Python's own and themselves."""
    found = set()
    for text in files.values():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and not node.level:
                found.add((node.module or "").split(".")[0])
            elif isinstance(node, ast.Import):
                found |= {each.name.split(".")[0] for each in node.names}
    return found - set(sys.stdlib_module_names)
