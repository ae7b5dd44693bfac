"""The embedded engine answers alike for alike, in every process, and in the form that it is asked for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zlib

from promptlab.embedded.engine import Params, answer

INTENTS = {
    "renew_loan": "keep a borrowed book or film longer, extend the loan, move its due date",
    "pay_fine": "pay money that is owed: a fine, a late fee, a charge on the account",
    "reserve_room": "reserve or book a study room, a meeting space or a desk for a group",
    "lost_item": "something is lost or was left behind: a coat, keys, an umbrella, a card or book",
    "opening_hours": "when the building opens and closes: hours, days, sundays and holidays",
}
NAMES = list(INTENTS)
NAMED = "Classify the message. Answer with one of: " + ", ".join(NAMES) + "."
DESCRIBED = "Classify the message.\nIntents:\n" + "\n".join(f"- {name}: {text}" for name, text in INTENTS.items())
ONLY = "\nAnswer with the label only, nothing else."
EXTEND, LATE_FEE = "can I keep the novel for two more weeks", "how do I pay the late fee"
KNOWN = 2818309449  # CRC-32 of some answers of VERSION 1


def chat(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in turns]


def test_same_request_same_answer_in_every_process() -> None:
    """Not Python's randomised hash(), not the order of dicts: another process says the same."""
    messages = chat(("system", NAMED), ("user", "until what hour are you open, and how do I pay my fine?"))
    here = [answer(messages, Params(seed=s, temperature=1.5)).text for s in range(12)]
    code = (
        "import json,sys; from promptlab.embedded.engine import answer, Params; m=json.load(sys.stdin);"
        "print(json.dumps([answer(m, Params(seed=s, temperature=1.5)).text for s in range(12)]))"
    )
    for salt in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(messages),
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": salt, "PYTHONPATH": ":".join(p for p in [".", *sys.path] if p)},
        )
        assert json.loads(done.stdout) == here
    assert len(set(here)) > 1, "the seed changes answers at a high temperature"


def test_known_answers_of_version_1() -> None:
    """If one of these changes, VERSION must be raised: cached answers would no longer be true."""
    said = [
        answer(chat(("system", system), ("user", text)), Params(model=model, temperature=0)).text
        for system in (NAMED, DESCRIBED)
        for model in ("small", "big")
        for text in ("when do you close on sundays", "I lost my keys", "extend my loan")
    ]
    assert zlib.crc32(json.dumps(said).encode()) == KNOWN, said


def test_temperature_widens_the_choice() -> None:
    messages = chat(("system", DESCRIBED + ONLY), ("user", "are you open on sundays"))
    cold = {answer(messages, Params(model="big", temperature=0, seed=s)).text for s in range(40)}
    vague = chat(("system", DESCRIBED + ONLY), ("user", "hello, can you help me"))
    hot = {answer(vague, Params(model="big", temperature=2, seed=s)).text for s in range(40)}
    assert cold == {"opening_hours"}
    assert len(hot) > 1


def test_form_of_the_answer_follows_orders_then_demos() -> None:
    """JSON, marker, last line, reason first: as told; otherwise as the demonstrations do it."""
    query = ("user", "are you open on sundays")

    def said(order: str, *turns: tuple[str, str]) -> str:
        return answer(chat(("system", NAMED + order), *turns, query), Params(model="big", temperature=0)).text

    assert said(ONLY) in NAMES
    assert json.loads(said(" Answer only in JSON with the field intent."))["intent"] in NAMES
    *reason, last = said("\nThink in one sentence, then give the intent on a line of its own.").split("\n")
    assert reason
    assert last in NAMES
    assert said('\nEnd with "Answer: " and the label.').startswith("Answer: ")
    shown = [("user", EXTEND), ("assistant", '{"intent": "renew_loan", "why": "x"}')]
    shown += [("user", LATE_FEE), ("assistant", '{"intent": "pay_fine", "why": "y"}')]
    assert list(json.loads(said("", *shown))) == ["intent", "why"]
    shown = [("user", EXTEND), ("assistant", "=> renew_loan."), ("user", LATE_FEE), ("assistant", "=> pay_fine.")]
    assert re.fullmatch(r"=> (\w+)\.", said("", *shown))


def test_without_labels_and_demos_it_says_that_it_cannot_tell() -> None:
    said = answer(chat(("system", "Classify the message. Label only."), ("user", "are you open"))).text
    assert said not in NAMES
    assert "cannot tell" in said


def test_a_fallback_label_is_taken_when_nothing_fits() -> None:
    system = DESCRIBED + "\n- other: \n" + ONLY
    system = system.replace("- other: \n", "- other: anything else\n")
    assert answer(chat(("system", system), ("user", "zzyzx qqq"))).text == "other"


def test_response_format_of_a_schema_is_kept() -> None:
    messages = chat(("system", "Classify."), ("user", "are you open"))
    said = answer(messages, Params(json_keys=("label", "reason"), choices=("open_hours", "fees")))
    assert json.loads(said.text)["label"] in ("open_hours", "fees")
