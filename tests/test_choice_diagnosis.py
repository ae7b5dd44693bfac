"""What to mend, out of dev's scores: knowledge, prompt, format, more data; nothing where nothing is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from test_choice_rule import rows

from promptlab.choice.curve import curve
from promptlab.choice.diagnosis import Seen, diagnose

NONE = np.zeros(100)


def said(**given: object) -> str:
    seen = {"best": rows(0.5, 100), "unread": NONE, **given}
    return "\n".join(diagnose(Seen(**seen)))  # type: ignore[arg-type]


def test_closed_book_low_and_oracle_high_calls_for_retrieval() -> None:
    told = said(closed=rows(0.2, 100), oracle=rows(0.95, 100), rag=rows(0.6, 100))
    assert told.startswith("Retrieval: closed book 20, with the right passages 95")
    assert "What the retriever finds still costs 35 points of them." in told
    assert "prompt or tuning" not in told


def test_knowledge_that_helps_but_does_not_do_is_one_paragraph() -> None:
    """Two side by side, "knowledge is missing" and "no retriever mends that", would send a reader two ways."""
    seen = Seen(best=rows(0.4, 100), unread=NONE, closed=rows(0.05, 100), oracle=rows(0.45, 100), rag=rows(0.4, 100))
    [told] = diagnose(seen)
    assert told.startswith("Retrieval: closed book 5, with the right passages 45 (dev): what is missing is knowledge")
    assert "passages bring it: 40 points." in told
    assert told.endswith("The other 55 points are lost with the right passages, too, and are for prompt or tuning.")


def test_oracle_low_calls_for_prompt_or_tuning() -> None:
    told = said(closed=rows(0.2, 100), oracle=rows(0.25, 100))
    assert told.startswith("Prompt or tuning: closed book 20, with the right passages 25")
    assert "even the right passages leave 75 points, for prompt or tuning. No retriever mends that." in told
    assert "Retrieval:" not in told


def test_a_closed_book_that_knows_it_all_calls_for_no_retrieval() -> None:
    assert said(closed=rows(0.95, 100), oracle=rows(0.95, 100)).startswith("No retrieval:")


def test_answers_that_cannot_be_read_call_for_format_first() -> None:
    best = rows(0.5, 100)
    unread = np.where(np.arange(100) >= 60, 1.0, 0.0)
    told = said(best=best, unread=unread)
    assert told.startswith("Format: 80 % of what is lost on dev are answers that could not be read (40 of 50 rows).")
    both = said(best=best, unread=unread, closed=rows(0.2, 100), oracle=rows(0.25, 100))
    assert "for prompt or tuning, once the format is mended" in both
    assert said(best=best, unread=np.where(np.arange(100) >= 90, 1.0, 0.0)) == ""


def test_a_curve_that_still_rises_calls_for_more() -> None:
    rising = curve("demos", [4, 8], np.array([rows(0.3, 100), rows(0.6, 100)]))
    assert "still rising in demos, 30 at 4, 60 at 8 on dev: more of them, or tuning may pay" in said(curves=(rising,))
    named = replace(rising, axis="training rows", which="seed 1")
    assert "still rising in training rows (seed 1), 30 at 4" in said(curves=(named,))
    assert said(curves=(curve("demos", [4, 8], np.array([rows(0.6, 100), rows(0.6, 100)])),)) == ""


def test_few_rows_advise_nothing() -> None:
    few = np.zeros(10)
    assert diagnose(Seen(best=few, unread=np.ones(10), closed=few, oracle=np.ones(10))) == []
