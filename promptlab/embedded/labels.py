"""Reads which labels an instruction names, and what it says of each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from promptlab.embedded.lists import ID_LIST, NAME_LIST, QUOTED_LIST, quoted_items, sentence_items


@dataclass(frozen=True, slots=True)
class Label:
    """One answer that the prompt allows, spelled as the prompt spells it, and its description (may be empty)."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """The labels that were found. ``sure``: a cue says that these are the answers, not merely a list in a sentence."""

    labels: tuple[Label, ...] = ()
    sure: bool = False


MOST_READ = 100_000
"""Characters of an instruction that are read; a list of 150 described labels takes a quarter of it."""

_MOST_CUES = 30  # lists looked at per kind of cue
_Items = tuple[tuple[str, str], ...]

_KIND = (
    r"(?:labels?|categor(?:y|ies)|class(?:es)?|intents?|topics?|options?|choices?|types?|tags?|sentiments?"
    r"|values?|themes?"
    r"|groups?|departments?|queues?|answers?|teams?|genres?|emotions?|candidates?|buckets?|list)"
)
_HEADING = re.compile(rf"\b{_KIND}\b|\b(?:one|any) of\b|\bchoose\b|\bpick\b|\bselect\b", re.I)
_SURE_CUES = (
    re.compile(
        r"\bone of\b(?: (?:these|those|the following|the|following|our|its|two|three|four|five|six|seven|eight"
        r"|\d+)\b)*"
        rf"(?: [a-z-]+){{0,3}}?(?: {_KIND})?\s*(?:[:(\u2013\u2014-]|\bare\b)?\s*",
        re.I,
    ),
    re.compile(rf"\b{_KIND}\b(?: (?:are|is|include|to (?:choose|pick|select) from|[a-z]+))?\s*[:=(]\s*", re.I),
    re.compile(
        r"\b(?:choose|chosen|pick|select)\b(?: [a-z-]+){0,6}? (?:from|between|among)(?: (?:the )?(?:following|these)"
        rf"(?: [a-z]+)?)?(?: {_KIND})?\s*[:(]?\s*",
        re.I,
    ),
    re.compile(r"\b(?:answer|reply|respond) with (?:either )?(?=[\"'`\u201c]|(?-i:[A-Z])|[^.\n]{1,200}\bor\b)", re.I),
    re.compile(r"(?=[\"'`\u201c]?\b(?:yes|true)[\"'`\u201d]?(?:,|/|,? or) ?[\"'`\u201c]?(?:no|false)\b)", re.I),
)
_LOOSE_CUES = (
    re.compile(
        r"\b(?:as|into|between|among|either|whether (?:[a-z']+ ){1,6}?(?:is|are|belongs to)|is it|from)\s+", re.I
    ),
    re.compile(r"(?:^|[.!\n])[ \t]*(?:is|are) (?:the|this|it)(?: (?:following|given))? [a-z]+\s+", re.I),
    re.compile(r"[:(]\s*(?:e\.g\.,?\s*)?", re.I),
)
_ARTICLE = re.compile(r"(?:an?|the)\s+(?=[a-z])")
_TABLE_HEAD = re.compile(r"^[^\n]*\|[^\n]*\n[ \t|:-]*-{3}[ \t|:-]*$", re.M)
_BULLET = re.compile(r"^\s*(?:[-*\u2022+]|\(?\d{1,3}[.)]|\|)\s*(?P<body>\S.*)$")
_DESCRIBED = re.compile(
    r"^(?:\*\*|`|\"|')?(?P<name>[^\s:*`\"'|][^:*`\"|\n]{0,60}?)(?:\*\*|`|\"|')?"
    r"(?:\s*:(?:\*\*)?\s+|\s+(?:[-\u2013\u2014=]|->|=>)\s+|\s*\|\s*)(?P<note>\S.*)$"
)
_NOTED = re.compile(r"^(?:\*\*|`|\")?(?P<name>[^()*`\"]{1,60}?)(?:\*\*|`|\")?\s*\((?P<note>[^()]{1,400})\)\s*[.;,]?$")
_NOT_A_NAME_TEXT = """
note format output input rule rules important example examples hint answer question task constraint constraints
tip warning message text role context goal instructions style tone language length json step
"""
_NOT_A_NAME = frozenset(_NOT_A_NAME_TEXT.split())


def _item(body: str) -> tuple[str, str] | None:
    """A list line as (name, description); None if it does not look like a label."""
    match = _DESCRIBED.match(body) or _NOTED.match(body)
    name, note = (match["name"], match["note"].strip(" |")) if match else (body, "")
    name = name.strip(" \t*`\"'|.,;:")
    if not name or len(name.split()) > 5 or name.lower() in _NOT_A_NAME:
        return None
    if not match and (len(name.split()) > 4 or body.rstrip().endswith((".", "!"))):
        return None
    return name, note


def _runs(lines: list[str]) -> Iterable[tuple[str, bool, list[str]]]:
    """Runs of list lines: (the line above, whether they are bullets, their bodies)."""
    above, bullets = "", False
    run: list[str] = []
    for line in [*lines, "\n"]:
        match = _BULLET.match(line)
        plain = not match and _DESCRIBED.match(line) is not None and bool(line.strip())
        if run and (not (match or plain) or bool(match) != bullets):
            yield above, bullets, run
            above, run = run[-1], []
        if match or plain:
            bullets = bool(match)
            run.append(match["body"] if match else line.strip())
        elif line.strip():
            above = line
    if run:
        yield above, bullets, run


def _from_lines(text: str) -> list[tuple[int, _Items]]:
    """Lists written one item a line, each with its strength (3 = under a heading that says labels)."""
    found = []
    for above, bullets, run in _runs(_TABLE_HEAD.sub("Labels:", text).splitlines()[:5000]):
        items = [_item(body) for body in run]
        kept = tuple(item for item in items if item is not None)
        headed = _HEADING.search(above) is not None
        noted = all(note for _, note in kept)
        if len(kept) < 2 or len(kept) < len(run) or not (headed or (bullets and noted)):
            continue
        found.append((3 if headed else 2, kept))
    return found


def _from_sentences(text: str) -> list[tuple[int, _Items]]:
    """Lists written inside a sentence, each with its strength (3 = a cue says that these are the answers)."""
    found: list[tuple[int, _Items]] = []
    for strength, cues in ((3, _SURE_CUES), (1, _LOOSE_CUES)):
        for cue in cues:
            for match in islice(cue.finditer(text), _MOST_CUES):
                items = sentence_items(text[match.end() : match.end() + 6000])
                if items:
                    kinds = all(_ARTICLE.match(name) for name, _ in items)  # "a name, a number or a date"
                    found.append((1 if kinds else strength, items))
    quoted = islice(QUOTED_LIST.finditer(text), 50)
    found += [(2, tuple((name, "") for name in quoted_items(match.group()))) for match in quoted]
    for pattern in (NAME_LIST, ID_LIST):
        found += [(1, sentence_items(match.group())) for match in islice(pattern.finditer(text), 50)]
    return found


@lru_cache(maxsize=4096)
def key(name: str) -> str:
    """How label names are compared: case, spaces, hyphens and underscores do not tell them apart."""
    return re.sub(r"[\s_-]+", " ", name).strip(" .,;:!\"'`*").casefold()


def _distinct(items: Iterable[tuple[str, str]]) -> tuple[Label, ...]:
    seen: dict[str, Label] = {}
    for written, note in items:
        name = _ARTICLE.sub("", written) if _ARTICLE.match(written) else written
        if key(name) and key(name) not in seen:
            seen[key(name)] = Label(name, note)
    return tuple(seen.values())


@lru_cache(maxsize=512)
def find_labels(text: str) -> Named:
    """The labels that ``text`` names: the most explicit list, with descriptions from wherever they are given."""
    text = text[:MOST_READ]
    found = [(s, _distinct(items)) for s, items in _from_lines(text) + _from_sentences(text)]
    found = [(s, labels) for s, labels in found if len(labels) >= 2]
    if not found:
        return Named()
    strength, best = max(found, key=lambda one: (one[0], sum(1 for x in one[1] if x.description), len(one[1])))
    notes = {key(x.name): x.description for _, labels in reversed(found) for x in labels if x.description}
    mine = {key(x.name) for x in best}
    for level, labels in found:  # a longer sure list of the same names wins: descriptions may cover only some
        if level == 3 and len(labels) > len(best) and mine <= {key(x.name) for x in labels}:
            best = labels
    named = tuple(Label(x.name, x.description or notes.get(key(x.name), "")) for x in best)
    return Named(named, strength >= 2)
