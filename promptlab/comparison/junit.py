"""Gates as JUnit XML, which every CI reads: a test case per gate."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from promptlab.comparison.gate import Gate

ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 cannot say
FIGURES = ("delta", "low", "high", "n", "chance")


def junit(suite: str, gates: Sequence[tuple[str, Gate]], *, strict: bool) -> str:
    """A <testsuite> with a case for each (name, gate), as text that begins with the XML declaration.

    ``regressed`` is a failure; ``undecided`` is one with ``strict``, else it is skipped with its reason.
    """
    failed = {"regressed", "undecided"} if strict else {"regressed"}
    root = ET.Element("testsuites")
    whole = {
        "name": _legal(suite),
        "tests": str(len(gates)),
        "failures": str(sum(found.verdict in failed for _, found in gates)),
        "errors": "0",
        "skipped": str(sum(found.verdict == "undecided" and not strict for _, found in gates)),
    }
    top = ET.SubElement(root, "testsuite", whole)
    for name, found in gates:
        case = ET.SubElement(top, "testcase", {"name": _legal(name), "classname": _legal(suite), "time": "0"})
        figures = ET.SubElement(case, "properties")
        for figure in FIGURES:
            value = getattr(found, figure)
            said = "" if math.isnan(value) else f"{value:.6g}"
            ET.SubElement(figures, "property", {"name": figure, "value": said})
        if found.verdict in failed:
            ET.SubElement(case, "failure", {"message": _legal(found.reason), "type": found.verdict})
        elif found.verdict == "undecided":
            ET.SubElement(case, "skipped", {"message": _legal(f"undecided: {found.reason}")})
        else:
            ET.SubElement(case, "system-out").text = _legal(found.reason)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _legal(text: str) -> str:
    """The text with a sign for each character that XML cannot hold: control characters, lone surrogates."""
    return ILLEGAL.sub("\ufffd", text)
