"""ROUGE-L and chrF: what well-kept packages compute, the best over accepted answers, and what to do without them."""

from __future__ import annotations

import sys

import pytest

from promptlab.errors import BadInput
from promptlab.metrics import load
from promptlab.records import Completion, Example

RIGHT = "the cat sat on the mat"
NEAR = "The cat, sat on a mat."


def score(name: str, expected: object, answer: object, **options: object) -> float:
    return float(load(name, options)(Example("a", {}, expected), Completion("", answer=answer)))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["rouge_l", "chrf"])
def test_the_best_accepted_answer_counts(name: str) -> None:
    pytest.importorskip("rouge_score")
    pytest.importorskip("sacrebleu")
    assert score(name, RIGHT, RIGHT) == pytest.approx(1)
    assert score(name, ("quite another", RIGHT), NEAR) == score(name, RIGHT, NEAR) > score(name, "quite another", NEAR)
    assert score(name, RIGHT, None) == 0


def test_rouge_l_is_that_of_its_package_and_knows_other_scripts() -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer", reason="the extra `text` is not installed")
    for stem in (False, True):
        theirs = scorer.RougeScorer(["rougeL"], use_stemmer=stem).score("running cats sat, 12 mats", "run cat sat 12")
        assert score("rouge_l", "running cats sat, 12 mats", "run cat sat 12", stem=stem) == theirs["rougeL"].fmeasure
    assert score("rouge_l", "кошка на ковре", "кошка на полу") == pytest.approx(2 / 3)
    assert score("rouge_l", "猫在垫子上", "猫在桌子上") == pytest.approx(0.8)


def test_chrf_is_that_of_its_package() -> None:
    metrics = pytest.importorskip("sacrebleu.metrics", reason="the extra `text` is not installed")
    assert score("chrf", RIGHT, NEAR) == metrics.CHRF().sentence_score(NEAR, [RIGHT]).score / 100
    assert score("chrf", RIGHT, NEAR, words=2) == metrics.CHRF(word_order=2).sentence_score(NEAR, [RIGHT]).score / 100
    assert score("chrf:2", RIGHT, NEAR) == score("chrf", RIGHT, NEAR, words=2)
    with pytest.raises(BadInput, match=r"words 7 must be 0 \(chrF\), 1 or 2"):
        load("chrf", {"words": 7})


@pytest.mark.parametrize(("name", "package"), [("rouge_l", "rouge_score"), ("chrf", "sacrebleu")])
def test_without_the_extra_the_command_is_told(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [each for each in sys.modules if each.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BadInput, match=r'is not installed. Run: pip install "promptlab-workbench\[text\]"'):
        load(name)
