"""What each arm can use of the budget, and what is set aside for none of them: calls, and what they may cost. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promptlab.choice.arms import is_tuned, oracled, siblings
from promptlab.choice.training import of
from promptlab.choice.tuned import TunedModels
from promptlab.experiment.choose import ARMS
from promptlab.forecast import forecast
from promptlab.prepare import Prepared
from promptlab.tune.plan import Planned as Job

ORACLE, SEEDS, PROBE = "the right passages on dev", "the models of other tuning seeds", "the off-task probe"


@dataclass(frozen=True, slots=True)
class Need:
    """Calls at most, and US dollars for them at list price; None where a price lacks."""

    calls: int
    usd: float | None


@dataclass(frozen=True, slots=True)
class Taking:
    """The arms that take part, by what is known of each: its experiment, or that it waits for its model.

    ``probe``: the rows of an off-task probe.
    """

    prepared: Prepared
    tuned: TunedModels
    made: Mapping[str, Prepared]
    waiting: tuple[str, ...] = ()
    probe: int = 0

    @property
    def names(self) -> list[str]:
        """The arms, those with the fewest moving parts first."""
        return [name for name in ARMS if name in self.made or name in self.waiting]

    @property
    def runs(self) -> int:
        """How many runs there are: of each arm, of tuned ones for every seed and on the probe, and of the oracle."""
        return len(self.names) + len(self._tuned) * (self._seeds - 1 + bool(self.probe)) + self._shown

    def needs(self) -> dict[str, Need]:
        """What each arm can use; a model of which nobody knows what it was taught is asked whatever its base is."""
        found: dict[str, Need] = {}
        for name in self.names:
            jobs = of(self.tuned.jobs, name) if name in self._tuned else ()
            alike = found.get("rag" if "rag" in name else "prompt") if self.tuned.taught(name) is None else None
            found[name] = _searched(self.made[name]) if not jobs else alike or self._trained(jobs)
        return found

    def aside(self) -> dict[str, int]:
        """The calls that no arm gets: with the right passages, with the models of other seeds, on the probe."""
        search, rows = self.prepared.experiment.search, self.prepared.rows
        per = search.repeats * self.prepared.task.calls
        found = {
            ORACLE: self._shown * per * len(rows.dev),
            SEEDS: (self._seeds - 1) * len(self._tuned) * per * len(rows.scored),
            PROBE: 2 * self.probe * len(self._tuned),
        }
        return {what: calls for what, calls in found.items() if calls}

    def usd(self, needs: Mapping[str, Need]) -> float | None:
        """What all calls may cost, those that are set aside at the price of the dearest arm; None where one lacks."""
        known = [(need.calls, need.usd) for need in needs.values() if need.usd is not None and need.calls]
        if len(known) < len(needs):
            return None
        dearest = max(usd / calls for calls, usd in known)
        total = sum(usd for _, usd in known) + sum(self.aside().values()) * dearest
        cap = self.prepared.experiment.search.budget.usd
        return total if cap is None else min(total, cap)

    @property
    def _tuned(self) -> list[str]:
        return [name for name in self.names if "tuned" in name]

    @property
    def _shown(self) -> bool:
        """Whether the right passages are shown, for the diagnosis."""
        return oracled(self.prepared.experiment) and any("rag" in name for name in self.names)

    @property
    def _seeds(self) -> int:
        """How many models there are of one recipe, at most."""
        names = [model.name for model in self.prepared.experiment.models]
        here = max((len(siblings(name, names)) for name in names if is_tuned(name)), default=1)
        return max(here, len({job.seed for job in self.tuned.jobs}))

    def _trained(self, jobs: Sequence[Job]) -> Need:
        """Every size of the learning curve with every parameter on all dev rows, then the best and the first on test.

        Known before anything is trained, and the same afterwards.
        """
        experiment, rows = self.prepared.experiment, self.prepared.rows
        variants = len({len(job.rows) for job in jobs})
        for values in experiment.params.values():
            variants *= len(values)
        asked = variants * len(rows.dev) + min(2, variants) * len(rows.test)
        calls = asked * experiment.search.repeats * self.prepared.task.calls
        each = self._priced(max(jobs, key=lambda job: len(job.rows)))
        return Need(calls, None if each is None else calls * each)

    def _priced(self, job: Job) -> float | None:
        """US dollars for a call of a model to train: a training row's tokens in, all that may come out."""
        settings, models = self.tuned.settings, self.prepared.task.models
        price, base = settings.price.serve, models.get(settings.base)
        if price is None or not job.rows:
            return 0.0 if base is not None and base.endpoint.embedded else None
        longest = max((value for value in self.prepared.experiment.params.get("max_tokens", ()) if value), default=0)
        tokens = job.cost.train_tokens / (len(job.rows) * (settings.epochs or 3))
        return (tokens * price.input + longest * price.output) / 1e6


def _searched(arm: Prepared) -> Need:
    """What the search of an arm and its test can use; its baseline on dev at least."""
    found = forecast(arm)
    alone = len(arm.rows.dev) * arm.experiment.search.repeats * arm.task.calls
    return Need(max(found.search_calls, alone) + found.test_calls, found.usd)
