"""Reads which form an instruction wants the answer in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from promptlab.embedded.labels import MOST_READ


@dataclass(frozen=True, slots=True)
class Form:
    """The form that was asked for.

    ``terse``: the answer alone. ``asked``: the prompt says how to answer, if not that nothing else may be said.
    ``reason``: thoughts first; ``quote``: the quoted sentence first. ``own_line``: the answer on its own last line.
    ``marker``: what that line starts with.
    ``tag``: the XML tag around the answer. ``json_keys``: keys of the JSON object, () if none is wanted.
    ``missing``: what to say when there is no answer, "" if the prompt does not tell.
    """

    terse: bool = False
    asked: bool = False
    reason: bool = False
    quote: bool = False
    own_line: bool = False
    marker: str = ""
    tag: str = ""
    json_keys: tuple[str, ...] = ()
    missing: str = ""


_THING = (
    r"(?:labels?|names?|words?|categor(?:y|ies)|intents?|class(?:es)?|answers?|topics?|types?|numbers?"
    r"|phrases?|spans?|dates?"
    r"|values?|json|letters?|sentiments?|tags?|themes?|options?|one|result|output|that|title|choice)"
)
_TERSE = re.compile(
    rf"\bonly (?:with |the |a |an |one |its |that |in |exact |name of |single |short(?:est)? |correct |best "
    rf"|final )*{_THING}\b"
    rf"|\b{_THING} only\b|\b(?:answer|reply|respond|return|output|write|give|print|say) (?:with )?(?:only"
    rf"|just)\b(?! (?:from|if|when|by|using|based|what))"
    r"|\bnothing else\b|\b(?:one|single) word\b|\bno (?:explanations?|other (?:text|words?)|extra|additional"
    r"|further|prose|preamble|commentary)\b"
    r"|\bwithout (?:any |an |further )?(?:explan\w+|other|additional|extra|commentary|punctuation)\b"
    r"|\b(?:do not|don't|never) (?:explain|add (?:any|anything)|write anything|say anything|include any)\b"
    r"|\bexactly (?:one|the) (?:of|label|word|name|category|intent)\b|\bjust the\b|\bas (?:short|briefly|few"
    r" words) as possible\b"
    r"|\bshortest (?:possible )?(?:phrase|span|answer)\b|\bin (?:a |as )?few words\b|\bverbatim\b|\ba"
    r" (?:single|bare) label\b",
    re.I,
)
_ASKED = re.compile(
    r"\b(?:answer|reply|respond|return|output|give|write|say|print)\b[^.\n]{0,40}?\b(?:with|as|one of|the)\b", re.I
)
_NO_REASON = re.compile(
    r"\b(?:do not|don't|never|without|no need to|not)\b(?: \w+){0,2} (?:think\w*|explain\w*|reason\w*|justif\w*)"
    r"|\bno (?:reason\w*|thinking|explanations?|justifications?)\b|\bwithout (?:any )?(?:reason\w*|explan\w+)",
    re.I,
)
_REASON = re.compile(
    r"\bstep[- ]by[- ]step\b|\bthink\b|\breason(?:ing)? (?:first|briefly|about|through|in)\b|\bfirst,?"
    r" (?:explain|reason|state|say|give)\b"
    r"|\bexplain (?:your|why|briefly|in|first)\b|\bone[- ]sentence\b|\bin one (?:short )?sentence\b|\b(?:brief"
    r"|short) (?:reason|explanation|justification)\b"
    r"|\byour reasoning\b|\bgive (?:a|your) reason\b",
    re.I,
)
_QUOTE = re.compile(
    r"\bquot(?:e|ing) (?:the|a|one|its)\b[^.\n]{0,30}\b(?:sentence|line|passage|text|words?|phrase)\b", re.I
)
_OWN_LINE = re.compile(
    r"\bown line\b|\b(?:line|lines) of (?:its|their) own\b|\b(?:last|final|new|next|separate) line\b|\bthen,?"
    r" on a\b[^.\n]{0,20}\bline\b",
    re.I,
)
_MARKER = re.compile(
    r"(?:\b(?:end|finish|conclude|begin|start|line|write|form|format|as|like|prefix\w*|by)\b[^.\n]{0,60}?"
    r"|^[ \t]*)[\"'`\u201c]"
    r"((?:the )?(?:final |my )?(?:answer|label|intent|category|class|topic|type|result)(?: is)?\s*:)",
    re.I | re.M,
)
_TAG = re.compile(r"\b(?:in|inside|within|between|with|use)\b[^.\n<]{0,30}<(\w{1,20})>", re.I)
_JSON = re.compile(r"\bjson\b", re.I)
_JSON_SHAPE = re.compile(r"\{\s*\"\w{1,40}\"\s*:[^{}]{0,400}\}")
_JSON_KEY = re.compile(r"\"(\w{1,40})\"\s*:")
_JSON_FIELD = re.compile(
    r"\b(?:fields?|keys?|propert(?:y|ies)|attributes?)\b\s*(?:named|called|are|is"
    r"|:)?\s*((?:[\"'`]?\w{1,40}[\"'`]?)(?:(?:,\s*|\s+and\s+)[\"'`]\w{1,40}[\"'`])*)",
    re.I,
)
_SAY = (
    r"(?:answer|say|reply|respond|write|return|output|use|choose|give|pick)"
    r"(?: with| exactly| only| just| the \w+)*\s*:?\s*"
)
_QUOTED = r"(?:[\"\u201c`](?P<quoted>[^\"\u201d`\n]{1,80})[\"\u201d`]|'(?P<single>[^'\n]{1,80})')"
_MISSING = (
    re.compile(rf"\b(?:if|when|where|unless)\b[^.\n]{{0,120}}?\b{_SAY}(?:{_QUOTED}|(?P<bare>\w[\w' -]{{0,60}}))", re.I),
    re.compile(rf"{_SAY}{_QUOTED}[^.\n]{{0,20}}?\b(?:if|when|where)\b[^.\n]{{0,80}}", re.I),
)
_LACKING = re.compile(
    r"\b(?:not|n't|no|none|nothing|neither|unsure|uncertain|unclear|missing|absent|lack|without|cannot|unknown"
    r"|never|unless|otherwise)\b|n't\b",
    re.I,
)


def _missing(text: str) -> str:
    """The words that the prompt wants where there is no answer."""
    for pattern in _MISSING:
        for match in list(pattern.finditer(text))[:50]:
            groups = match.groupdict()
            phrase = groups["quoted"] or groups["single"] or groups.get("bare") or ""
            if _LACKING.search(match.group().replace(phrase, "")):
                return phrase.strip()
    return ""


def _json_keys(text: str) -> tuple[str, ...]:
    """The keys of the JSON object asked for: from a shown shape or from named fields; ("answer",) if unnamed."""
    shape, cue = _JSON_SHAPE.search(text), _JSON.search(text)
    if shape:
        return tuple(dict.fromkeys(_JSON_KEY.findall(shape.group())))
    if not cue:
        return ()
    named = _JSON_FIELD.search(text, max(0, cue.start() - 200))
    keys = re.findall(r"\w+", named.group(1).replace(" and ", " ")) if named else []
    return tuple(dict.fromkeys(keys)) or ("answer",)


@lru_cache(maxsize=512)
def find_form(text: str) -> Form:
    """The form that the instructions in ``text`` ask for."""
    text = text[:MOST_READ]
    unreasoned = _NO_REASON.sub(" ", text)
    marker, tag = _MARKER.search(text), _TAG.search(text)
    return Form(
        terse=_TERSE.search(text) is not None,
        asked=_ASKED.search(text) is not None,
        reason=_REASON.search(unreasoned) is not None,
        quote=_QUOTE.search(text) is not None,
        own_line=_OWN_LINE.search(text) is not None,
        marker=marker.group(1) if marker else "",
        tag=tag.group(1) if tag else "",
        json_keys=_json_keys(text),
        missing=_missing(text),
    )
