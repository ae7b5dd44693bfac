"""What a training takes before anything is uploaded. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from promptlab.tokens import count_messages
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


def estimate(rows: Sequence[TrainingRow], epochs: int | None, price: TunePrice, model: str = "") -> TuneCost:
    """The cost of one job; without a number of epochs, three are reckoned with."""
    counts = [count_messages(row.messages, model) for row in rows]
    tokens = sum(count for count, _ in counts) * (epochs or 3)
    usd = None if price.train is None else price.train * tokens / 1e6
    return TuneCost(tokens, usd, all(exact for _, exact in counts) and epochs is not None)
