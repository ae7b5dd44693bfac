"""What a budget needs: a cap where anything is paid, prices for dollars, a bound on answers for tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from promptlab.experiment.search import Search
from promptlab.experiment.sheet import Sheet
from promptlab.records import Budget, Model
from promptlab.yaml_file import Key


def check_budget(sheet: Sheet, search: Search, models: Iterable[Model], params: Mapping[str, tuple[Any, ...]]) -> None:
    """A cap for whatever is paid; prices where dollars are capped; a bound on the output where tokens are."""
    models, budget = list(models), search.budget
    key: Key = ("search", "budget")
    caps = (budget.calls, budget.tokens, budget.usd)
    named = any(sheet.given(*key, name) for name in ("calls", "tokens", "usd"))
    if not all(model.endpoint.embedded for model in models) and caps == (None, None, None) and not named:
        sheet.add(
            key, "`search.budget` is missing: it needs calls, tokens or usd", "Like budget: {calls: 3000, usd: 2.00}."
        )
    needs = "a usd budget" if budget.usd is not None else "to keep usd low" if "usd" in search.costs else ""
    unpriced = [model for model in models if model.price is None] if needs else []
    for place, name in [(place, m.name) for place, m in enumerate(models) if m in unpriced]:
        if not sheet.given("models", place, "price"):
            remedy = "Give it price: {input: …, output: …} in US dollars per million tokens."
            sheet.add(("models", place), f"{needs} needs a price, and the model {name!r} has none", remedy)
    if budget.tokens is None and budget.usd is None:
        return
    cap = "usd" if budget.usd is not None else "tokens"
    for name in [model.name for model in models if not _bounded(model.params, params)]:
        if not sheet.given("params", "max_tokens") or None in params.get("max_tokens", ()):
            message = f"a budget of {cap} needs `params.max_tokens`, else the cost of a call to {name!r} has no bound"
            sheet.add((*key, cap), message, "Add max_tokens to params.")
            return


def check_meta(
    sheet: Sheet, budget: Budget, meta: Model | None, models: Iterable[Model], key: Key = ("search", "meta")
) -> None:
    """A model that only proposers or a judge ask needs what others need: a budget, a price where dollars are capped."""
    if meta is None or meta in models:
        return
    if budget.usd is not None and meta.price is None and not sheet.given(*key, "price"):
        remedy = "Give it price: {input: …, output: …} in US dollars per million tokens."
        sheet.add(key, f"a usd budget needs a price, and the model {meta.name!r} has none", remedy)
    paid = not meta.endpoint.embedded and all(model.endpoint.embedded for model in models)
    if paid and (budget.calls, budget.tokens, budget.usd) == (None, None, None) and not sheet.given("search", "budget"):
        message = "`search.budget` is missing: it needs calls, tokens or usd"
        sheet.add(key, message, "Like budget: {calls: 3000, usd: 2.00}.")


def _bounded(own: Mapping[str, Any], params: Mapping[str, tuple[Any, ...]]) -> bool:
    """Whether every request says how long its answer may be."""
    for name in ("max_tokens", "max_completion_tokens"):
        if own.get(name) is not None and name not in params:
            return True
        if params.get(name) and all(value is not None for value in params[name]):
            return True
    return False
