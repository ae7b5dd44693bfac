"""The embedded engine: clearer prompts, better demonstrations and the right passages really score better."""

from __future__ import annotations

import re
from collections.abc import Sequence

from promptlab.embedded.engine import Params, answer

LIBRARY: dict[str, tuple[str, list[str]]] = {
    "renew_loan": (
        "keep a borrowed book or film longer, extend the loan, move its due date, more weeks",
        [
            "can I keep the novel for two more weeks",
            "my book is due tomorrow and I am not finished, extend it please",
            "please move the due date of my three picture books",
            "is it possible to extend my loans over the holidays",
            "I'd like more time with the film I borrowed",
            "could you prolong the two travel guides by a month",
            "not finished reading, may I hold on to it longer",
            "extend everything on my card until june",
            "the due date is too soon for such a thick book",
            "one more week for the cook book I borrowed, please",
        ],
    ),
    "pay_fine": (
        "pay money that is owed: a fine, a late fee, a charge on the account, by card or cash",
        [
            "how do I pay the late fee",
            "I owe you 4 euros, do you take cards",
            "there is a charge of 12 on my account, where can I settle it",
            "can the fine be paid in cash at the desk",
            "my son has a late fee of 3.50, can I pay it for him",
            "where do I send the money for the overdue charge",
            "is there a machine to pay fines",
            "I got a bill for a late dvd and want to pay by transfer",
            "settle my fine online, is that possible",
            "the fee is too high, but fine, which card types work",
        ],
    ),
    "reserve_room": (
        "reserve or book a study room, a meeting space or a desk for a group, at a day and hour",
        [
            "I need a quiet room for four people on friday",
            "can our group reserve the meeting space next week",
            "is the study room free at three",
            "reserve a desk with a screen for me tomorrow morning",
            "we want a space for our language group on mondays",
            "how do I reserve the small room upstairs",
            "is there a room with a projector free this afternoon",
            "please put our chess group into the study room at six",
            "two desks side by side for saturday",
            "cancel the meeting room at five, make it six",
        ],
    ),
    "lost_item": (
        "something is lost or was left behind in the building: a coat, keys, an umbrella, a lost card or book",
        [
            "I left my umbrella in the reading hall",
            "has anybody handed in a set of keys",
            "my library card is lost",
            "I think I forgot my scarf upstairs yesterday",
            "lost: one blue coat, near the lift",
            "I cannot find the book I borrowed, it must be lost",
            "did someone find a phone in the toilets",
            "my daughter left her bear behind",
            "my card must have fallen out of my pocket, lost it",
            "is there a box for lost things, I miss a glove",
        ],
    ),
    "opening_hours": (
        "when the building opens and closes: hours, days, sundays and holidays",
        [
            "when do you open on sundays",
            "are you closed on easter monday",
            "until what hour is the branch open today",
            "opening hours in summer please",
            "do you close early on christmas eve",
            "is it open at 8 in the morning",
            "which days is the children's hall open",
            "what time do you close",
            "are the hours different in the holidays",
            "open on saturday evening?",
        ],
    ),
    "join": (
        "become a member: sign up, register, membership for a child or student, what papers are needed for it",
        [
            "how can I become a member",
            "I moved here and want to sign up",
            "what papers do I need to register my child",
            "is membership free for students",
            "sign me up please",
            "can tourists become members",
            "do I have to register in person",
            "membership for a family of five",
            "what do I bring to register",
            "my flatmate wants a membership too",
        ],
    ),
}
NAMES = list(LIBRARY)
BANK = [(text, name) for name, (_, texts) in LIBRARY.items() for text in texts[:5]]
TEST = [(text, name) for name, (_, texts) in LIBRARY.items() for text in texts[5:]]
NAMED = "Classify the message. Answer with one of: " + ", ".join(NAMES) + "."
DESCRIBED = "Classify the message.\nIntents:\n" + "\n".join(f"- {n}: {d}" for n, (d, _) in LIBRARY.items())
ONLY = "\nAnswer with the label only, nothing else."

PRODUCTS = [
    ("How much does the Alder kettle weigh?", "1.2 kg", "The Alder kettle weighs 1.2 kg and holds 1.5 litres."),
    ("How much does the Birch kettle weigh?", "900 g", "The Birch kettle weighs 900 g without its base."),
    ("In which year was the Alder kettle first sold?", "2019", "The Alder kettle was first sold in 2019 in Norway."),
    ("Who designed the Cedar lamp?", "Ingrid Holm", "The Cedar lamp was designed by Ingrid Holm for reading in bed."),
    ("How long does the battery of the Cedar lamp last?", "14 hours", "The battery of the Cedar lamp lasts 14 hours."),
    ("What does a repair of the Dogwood radio cost?", "€35", "A repair of the Dogwood radio costs €35 by post."),
    ("Can the filter of the Elm fan be washed?", "no", "The filter of the Elm fan cannot be washed; replace it."),
    ("Is the Elm fan quiet enough for a bedroom?", "yes", "The Elm fan is quiet enough for a bedroom at level one."),
    ("How many speeds does the Elm fan have?", "5", "The Elm fan has 5 speeds and a timer."),
    (
        "Where are the spare parts of the Fir heater made?",
        "Tampere",
        "Spare parts of the Fir heater are made in Tampere.",
    ),
]


def chat(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in turns]


def strict(text: str) -> str | None:
    """A strict label parser: the whole trimmed answer or its last line, never a search."""
    for candidate in (text.strip(), text.strip().split("\n")[-1].strip()):
        if candidate in NAMES:
            return candidate
    return None


def overlap(a: str, b: str) -> float:
    one, two = set(re.findall(r"\w+", a)), set(re.findall(r"\w+", b))
    return len(one & two) / (len(one) * len(two)) ** 0.5


def nearest(query: str, k: int) -> list[tuple[str, str]]:
    return sorted(BANK, key=lambda demo: -overlap(query, demo[0]))[:k]


def unrelated(query: str, k: int) -> list[tuple[str, str]]:
    return BANK[:: len(BANK) // k][:k]


def accuracy(system: str, demos: object = None, model: str = "big", seeds: Sequence[int] = (1, 2, 3)) -> float:
    hits = 0
    for seed in seeds:
        for text, name in TEST:
            turns = [("system", system)] if system else []
            for demo, label in demos(text) if callable(demos) else ():
                turns += [("user", demo), ("assistant", label)]
            said = answer(chat(*turns, ("user", text)), Params(model=model, temperature=0, seed=seed))
            hits += strict(said.text) == name
    return hits / len(TEST) / len(seeds)


def ask(question: str, passages: Sequence[str], extra: str = "", **params: object) -> str:
    listed = "\n".join(f"[{i}] {text}" for i, text in enumerate(passages, 1))
    system = "Answer the question from the passages only, with the shortest phrase, nothing else." + extra
    messages = chat(("system", system), ("user", f"{listed}\n\nQuestion: {question}"))
    return answer(messages, Params(temperature=0, **params)).text  # type: ignore[arg-type]


def test_descriptions_beat_names_and_names_beat_nothing() -> None:
    """Labels with descriptions > labels only > no labels at all, under a strict parser."""
    described, named, bare = (
        accuracy(DESCRIBED + ONLY),
        accuracy(NAMED + ONLY),
        accuracy("Classify the message." + ONLY),
    )
    assert described > named + 0.1
    assert named > bare
    assert bare == 0.0


def test_relevant_demos_beat_none_and_nearest_beat_unrelated() -> None:
    near = accuracy(NAMED + ONLY, lambda text: nearest(text, 6))
    spread = accuracy(NAMED + ONLY, lambda text: unrelated(text, 6))
    assert near > accuracy(NAMED + ONLY) + 0.05
    assert near >= spread


def test_an_order_about_the_form_beats_none() -> None:
    """Told to give the label only, every answer parses; not told, part of them come as prose."""
    assert accuracy(DESCRIBED + ONLY) > accuracy(DESCRIBED + "\nWhich one fits?") + 0.1


def test_big_is_better_than_small() -> None:
    prompts = [DESCRIBED + ONLY, NAMED + ONLY]
    demos = [None, lambda text: nearest(text, 6)]
    scores = {m: sum(accuracy(p, d, m, range(5)) for p in prompts for d in demos) for m in ("small", "big")}
    assert scores["big"] > scores["small"]


def test_wrong_demos_hurt() -> None:
    """Demos whose labels are shuffled lead astray: the engine learns from what stands in the prompt."""
    turned = {name: NAMES[(i + 1) % len(NAMES)] for i, name in enumerate(NAMES)}
    right = accuracy(NAMED + ONLY, lambda text: nearest(text, 6))
    wrong = accuracy(NAMED + ONLY, lambda text: [(t, turned[n]) for t, n in nearest(text, 6)])
    assert wrong < right - 0.2


def test_passages_right_beat_wrong_beat_none() -> None:
    """With the right passage most answers are exact; with others, or none, none is (but by a lucky yes or no)."""
    texts = [text for _, _, text in PRODUCTS]
    right = sum(ask(q, [t]) == a for q, a, t in PRODUCTS)
    mixed = sum(ask(q, texts) == a for q, a, t in PRODUCTS)
    wrong = sum(ask(q, [texts[(i + 3) % len(texts)]]) == a for i, (q, a, _) in enumerate(PRODUCTS))
    none = sum(ask(q, []) == a for q, a, _ in PRODUCTS)
    assert right >= 8
    assert mixed >= 7
    assert wrong <= 2
    assert none == 0


def test_a_distractor_with_the_questions_words_can_mislead() -> None:
    question = "How much does the Alder kettle weigh when it is full?"
    true, near = "The Alder weighs 2.7 kg filled.", "How much the Alder kettle for hotels weighs when it is full: 4 kg."
    assert ask(question, [true]) == "2.7 kg"
    assert ask(question, [near, true]) == "4 kg"


def test_a_bridge_leads_to_the_second_passage() -> None:
    """A nested question is answered from the passage that the first one names."""
    passages = [
        "The Cedar lamp is charged with the adapter Rowan 5.",
        "The Larch torch is charged with the adapter Hazel 9.",
        "The Rowan 5 gives 20 W and is 6 cm long.",
        "The Hazel 9 gives 45 W and is 8 cm long.",
    ]
    assert ask("How many watts does the adapter that charges the Cedar lamp give?", passages, model="big").startswith(
        "20"
    )
    assert ask("How many watts does the adapter that charges the Larch torch give?", passages, model="big").startswith(
        "45"
    )


def test_says_what_it_was_told_to_say_when_the_answer_is_missing() -> None:
    extra = ' If the passages do not say, answer "not in the passages".'
    assert ask("Who founded the harbour museum?", [PRODUCTS[0][2]], extra) == "not in the passages"
    assert ask(PRODUCTS[0][0], [PRODUCTS[0][2]], extra) == "1.2 kg"
    assert "not" in ask("Who founded the harbour museum?", [])
