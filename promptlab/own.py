"""A user's own code: the files of the modules that an experiment names, so that a run can be replayed without them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from promptlab.experiment import Experiment


def own_files(experiment: Experiment) -> dict[str, bytes]:
    """What the experiment's own code is made of, by path relative to its folder: metrics, proposers, retrievers, ….

    A module is taken, with the modules beside it that it imports, from where it is imported: the experiment's folder
    or the current directory. Installed packages are not ours to keep. Files that a metric's options name are kept too.
    """
    search = experiment.search
    named = [name for name, _ in (*search.propose, search.allocate)]
    named += [each.spec for each in experiment.metrics.values()]
    if experiment.retrieval is not None:
        named += (*experiment.retrieval.retriever, *experiment.retrieval.rerank)
    found = _modules({name.partition(":")[0] for name in named if ":" in name}, (experiment.folder, Path.cwd()))
    for each in experiment.metrics.values():
        found |= _option_files(experiment.folder, {**each.options, "": each.spec.partition(":")[2]})
    return found


def _option_files(folder: Path, options: Mapping[str, Any]) -> dict[str, bytes]:
    names = [value for value in options.values() if isinstance(value, str) and 0 < len(value) < 255]
    return {name: (folder / name).read_bytes() for name in names if "\0" not in name and (folder / name).is_file()}


def _modules(names: Iterable[str], folders: Sequence[Path]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    waiting, seen = sorted(names), set[str]()
    while waiting:
        name = waiting.pop()
        root = name.partition(".")[0]
        if name in seen or root in sys.stdlib_module_names or root == "promptlab":
            continue
        seen.add(name)
        home = next((each for each in folders if _file(each, root) or (each / root).is_dir()), None)
        path = _file(home, name) if home else None
        if home is None or path is None:
            continue
        content = path.read_bytes()
        found[path.relative_to(home).as_posix()] = content
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        waiting += [name.rpartition(".")[0]] if "." in name else []
        waiting += _imports(content, package)
    return found


def _file(folder: Path, module: str) -> Path | None:
    """The source file of a module that lies in a folder."""
    place = folder.joinpath(*module.split("."))
    return next((each for each in (place / "__init__.py", place.with_suffix(".py")) if each.is_file()), None)


def _imports(source: bytes, package: str) -> Iterator[str]:
    """The modules that a source may import, wherever it does so."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            around = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*around, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
