"""The files of a new project, by path relative to its folder. Pure: nothing is read or written here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

IGNORED = "runs/\n.promptlab/\n"
PRIVATE = ".promptlab/.gitignore"


@dataclass(frozen=True, slots=True)
class Project:
    """A project's files; ``experiment`` and ``template`` are the two that people edit, ``notes`` what to tell them."""

    files: Mapping[str, bytes]
    experiment: str
    template: str
    notes: tuple[str, ...] = ()


def project(name: str, template: str, prompt: str, beside: Mapping[str, bytes], notes: tuple[str, ...] = ()) -> Project:
    """A project of one template and one experiment; ``beside`` are the files in the experiment's folder."""
    home = f"experiments/{name}"
    place = f"templates/{name}/{template}"
    files = {
        place: prompt.encode(),
        **{f"{home}/{each}": content for each, content in beside.items()},
        "README.md": _readme(name, place).encode(),
        ".gitignore": IGNORED.encode(),
        PRIVATE: b"*\n",  # the response cache is nobody's to commit
    }
    return Project(files, f"{home}/experiment.yaml", place, notes)


def _readme(name: str, template: str) -> str:
    return f"""# {name}

Edit, in this order:
- `{template}`: the prompt, and in it the choices that mining tries
- `experiments/{name}/experiment.yaml`: data, demos, metrics, budget, and who answers (`endpoint`)

Run (the same command resumes; nothing is paid for twice):

    promptlab plan experiments/{name}/experiment.yaml
    promptlab mine experiments/{name}/experiment.yaml
    promptlab compare experiments/{name}
"""
