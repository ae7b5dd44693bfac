"""What a question asks for: the type of its answer, and patterns that spans of this type match."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_DAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?"
_DATE = re.compile(
    rf"\b\d{{1,2}}(?:st|nd|rd|th)? {_MONTH}(?:,? \d{{4}})?|\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?"
    rf"|\b{_MONTH} \d{{4}}\b"
    rf"|\b\d{{4}}-\d\d-\d\d\b|\b(?:1[0-9]|20)\d\ds?\b|\b{_MONTH}\b|\b{_DAY}\b(?:(?: to | and |-){_DAY}\b)?"
    r"|\b\d{1,2}(?::\d\d)?\s?(?:am|pm|a\.m\.|p\.m\.)|\b\d{1,2}:\d\d\b"
)
_YEAR = re.compile(r"\b(?:1[0-9]|20)\d\d\b")
_CLOCK = re.compile(r"\b\d{1,2}:\d\d\b|\b\d{1,2}\s?(?:am|pm|a\.m\.|p\.m\.)|\bnoon\b|\bmidnight\b")
_CODE = re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[A-Z])[A-Z][A-Za-z]{0,5}-?\d[\w-]{0,8}\b")
_NUMBER = (
    r"(?:(?<![\w.])-?\d+(?:[.,]\d+)*(?: ?(?:million|billion|thousand|hundred)\b)?|\b(?:one|two|three|four|five"
    r"|six|seven|eight|nine|ten|eleven|twelve|thirteen|"
    r"fourteen|fifteen|sixteen|eighteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|half an?|a"
    r" hundred|a thousand|a dozen)\b(?:[ -](?:one|two|"
    r"three|four|five|six|seven|eight|nine|hundred|thousand|million|billion))?)"
)
_MONEY = re.compile(
    rf"[$\u20ac\u00a3\u00a5]\s?\d+(?:[.,]\d+)*(?: ?(?:million|billion|thousand)\b)?|{_NUMBER} (?:euros?"
    rf"|dollars?|pounds?|cents?|pence)\b|\bfree\b|\bno charge\b"
)


def _measure(units: str) -> re.Pattern[str]:
    """Numbers with one of ``units``; several in a row are one amount (4 hours 30 minutes)."""
    one = rf"{_NUMBER}[ -]?(?:working |business |square |cubic )?(?:{units})(?![\w/])"
    return re.compile(rf"{one}(?:,? (?:and )?{one})*")


_TIME = _measure(
    r"milliseconds?|seconds?|secs?|minutes?|mins?|hours?|h|days?|weeks?|months?|years?|seasons?|decades?|centuries"
)
_LENGTH = _measure(
    r"mm|cm|km|m|millimetres?|centimetres?|metres?|meters?|kilomet(?:re|er)s?|miles?|feet|foot|ft|inch(?:es)?|yards?"
)
_MASS = _measure(r"mg|g|kg|t|grams?|kilograms?|kilos?|tonnes?|tons?|pounds?|lbs?|ounces?|oz")
_ANY = re.compile(rf"{_NUMBER}(?:[ -]?(?:%|\u00b0[CF]\b|[\u00b5\w/\u00b2\u00b3]{{1,14}}))?")

_MEASURES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        (
            r"\b(?:how much (?:is|are|do(?:es)? .+ cost)|cost|costs|price|pay|paid|fee|fees|charged?|deposit|worth"
            r"|expensive|cheap)\b"
        ),
        _MONEY,
    ),
    (
        (
            r"\b(?:how long|how old|how many (?:seconds|minutes|hours|days|weeks|months|years)"
            r"|how soon|how often|how quickly|how fast|duration|how much time|turnaround|run"
            r" ?time|waiting time|period)\b"
        ),
        _TIME,
    ),
    (r"\b(?:how (?:heavy|much .*weigh)|weighs?|weight|mass|grams|kilos?)\b", _MASS),
    (
        (
            r"\b(?:how (?:long|far|tall|high|wide|deep|thick|big|large)|height|width|length|depth|distance"
            r"|diameter|tall|altitude|radius)\b"
        ),
        _LENGTH,
    ),
    (r"\b(?:percentage|percent|what share|what proportion)\b", _measure("%|percent|per cent")),
    (r"\b(?:watts?|wattage|power|consumption|draw)\b", _measure(r"m?W|kW|watts?|kilowatts?|k?Wh")),
    (r"\b(?:volts?|voltage)\b", _measure(r"k?V|volts?")),
    (r"\b(?:how (?:loud|noisy|quiet)|noise|decibels?|db)\b", _measure(r"dB|decibels?")),
    (r"\b(?:how (?:hot|cold|warm)|temperature|degrees)\b", _measure(r"\u00b0\s?[CF]|degrees(?: [A-Z]\w+)?")),
    (
        r"\b(?:lit(?:re|er)s?|volume|how much (?:water|liquid|fuel|milk)|capacity)\b",
        _measure(r"ml|l|cl|lit(?:re|er)s?|gallons?|pints?|cups?|m?Ah|k?Wh|[GMT]B"),
    ),
    (r"\b(?:how bright|brightness|brightest|lumens?)\b", _measure(r"lumens?|lm|lux|nits")),
    (r"\b(?:storage|memory|how many (?:gigabytes|megabytes))\b", _measure(r"[kMGT]B|(?:mega|giga|tera)bytes?")),
)
_YES_NO = re.compile(
    r"^\W*(?:is|are|was|were|do|does|did|can|could|has|have|had|will|would|should|may|might|must|am|shall)\b"
    r"|[.,:;\u2013-]\s*(?:is|are|was|were|do|does|did|can|could|has|have|will|would|should|may|must) (?:i|it"
    r"|he|she|they|we|you|the|my|there|a|an|this|that)\b[^.]*\?\s*$",
    re.I,
)
_ASKS = re.compile(r"\b(?:what|which|who|whom|whose|when|where|why|how)\b", re.I)


@dataclass(frozen=True, slots=True)
class Wanted:
    """``kind``: yes/no, amount, date, code, person, place, why, how or thing; ``patterns`` in order of preference.

    ``loose`` patterns are tried last: what they match is no sign that a sentence holds an answer.
    """

    kind: str
    patterns: tuple[re.Pattern[str], ...] = ()
    loose: tuple[re.Pattern[str], ...] = ()


_COUNTED = re.compile(
    r"\b(?:how many|number of|how much) (?:different |more |other |of the )?"
    r"(?!(?:is|are|was|were|do|does|did|has|have|can|will|would|the)\b)([a-z]+)"
)
_SOME_AMOUNT = re.compile(
    r"\bhow (?:many|much|big|strong|large|full|fast|tall|few)\b"
    r"|\b(?:what|which) (?:number|amount|size|speed|rate|level|limit|score)\b"
)
_CLOCK_CUE = re.compile(r"\b(?:what time|until when|at what hour|opening hours)\b")
_DATE_CUE = re.compile(
    r"^\W*when\b|\b(?:since|by) when\b|\b(?:what|which) (?:date|day|month|century|decade)\b"
    r"|^(?!.*\b(?:how|what|which|who|why|where)\b.*\bwhen).*\bwhen\b[^,]*\?\s*$",
    re.S,
)


def _amount(low: str) -> Wanted | None:
    """Measures that the question names come first, then the number of what it counts, then any number."""
    counted = _COUNTED.search(low)
    found = [pattern for cue, pattern in _MEASURES if re.search(cue, low)]
    if counted:
        word = counted.group(1)
        found.append(re.compile(rf"{_NUMBER}(?=(?: \w+)?? {re.escape(word[: max(3, len(word) - 2)])})", re.I))
    loose = (_ANY,) if counted or _SOME_AMOUNT.search(low) or (found and "how" in low) else ()
    return Wanted("amount", tuple(found), loose) if found or loose else None


def _when(low: str) -> Wanted | None:
    if re.search(r"\bwh(?:at|ich) year\b", low):
        return Wanted("date", (_YEAR,))
    if _CLOCK_CUE.search(low):
        return Wanted("date", (_CLOCK, _DATE))
    return Wanted("date", (_DATE,), (_TIME,)) if _DATE_CUE.search(low) else None


_PLAIN: tuple[tuple[re.Pattern[str], Wanted], ...] = (
    (
        re.compile(r"\b(?:order|part|item|model|article|serial|product) (?:number|no|code)\b|\bwhich (?:item|code)\b"),
        Wanted("code", (_CODE,)),
    ),
    (re.compile(r"^(?!.*\b(?:what|which|how)\b.*\bwho).*\bwho(?:m|se)?\b", re.S), Wanted("person")),
    (
        re.compile(r"\bwhere\b|\b(?:what|which) (?:city|country|town|place|state|region|street|room|location)\b"),
        Wanted("place"),
    ),
)
_LAST: tuple[tuple[re.Pattern[str], Wanted], ...] = (
    (re.compile(r"\bwhy\b"), Wanted("why")),
    (re.compile(r"^\W*how\b"), Wanted("how")),
)


@lru_cache(maxsize=2048)
def wanted(question: str) -> Wanted:
    """What ``question`` asks for."""
    low = question.lower()[:2000]
    open_ended = _ASKS.match(low.lstrip(" \"'")) or re.search(r"\bor\b[^?]*\?\s*$", low)
    if not open_ended and _YES_NO.search(low):
        return Wanted("yes/no")
    plain = next((want for cue, want in _PLAIN if cue.search(low)), None)
    last = next((want for cue, want in _LAST if cue.search(low)), Wanted("thing"))
    return _when(low) or plain or _amount(low) or last
