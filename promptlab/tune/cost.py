"""What a training takes before anything is uploaded. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from promptlab.embedded.pieces import count_chat
from promptlab.tokens import PER_MESSAGE, count_messages
from promptlab.tune.rows import TrainingRow
from promptlab.tune.settings import TunePrice


@dataclass(frozen=True, slots=True)
class TuneCost:
    """Tokens that are trained on, all epochs together, and US dollars: None where no price is given.

    ``exact``: the tokens were counted by the model's own vocabulary.
    """

    train_tokens: int
    usd: float | None
    exact: bool = False

    def __add__(self, other: TuneCost) -> TuneCost:
        usd = None if self.usd is None or other.usd is None else self.usd + other.usd
        return TuneCost(self.train_tokens + other.train_tokens, usd, self.exact and other.exact)


def estimate(
    rows: Sequence[TrainingRow], epochs: int | None, price: TunePrice, model: str = "", *, embedded: bool = False
) -> TuneCost:
    """The cost of one job; without a number of epochs, three are reckoned with.

    ``embedded``: the offline engine trains, whose count is known. Else tokens are those of the model's own vocabulary
    where it is on this machine, and OpenAI's chat format around them; other models' formats differ: it is "about".
    """
    counts = [_offline(row) if embedded else _counted(row, model) for row in rows]
    tokens = sum(count for count, _ in counts) * (epochs or 3)
    usd = None if price.train is None else price.train * tokens / 1e6
    return TuneCost(tokens, usd, all(exact for _, exact in counts) and epochs is not None)


def _counted(row: TrainingRow, model: str) -> tuple[int, bool]:
    """The answer is a message of the row: no further reply is opened."""
    tokens, exact = count_messages(row.messages, model)
    return tokens - PER_MESSAGE, exact


def _offline(row: TrainingRow) -> tuple[int, bool]:
    return count_chat(each.content for each in row.messages), True
