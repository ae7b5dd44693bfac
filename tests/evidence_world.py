"""Simulated worlds in which the truth is known: how often each rule of evidence is right, beside what it promises.

``CLAIMS`` is the table: what is simulated, at how many rows, what the rule promises, and the simulation, which gives
the share of ``runs`` in which the thing happened. Rows differ in difficulty, so that variants go together as real ones
do; two variants are "equal" when they have the same chance on every row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import stdtrit

from promptlab.comparison.gate import gate
from promptlab.metrics.classification import leave_one_out, macro_f1
from promptlab.stats.paired import mcnemar_midp, paired, rate_interval
from promptlab.stats.power import smallest_difference
from promptlab.stats.ties import max_t, tie_set
from promptlab.tested import reread

Rng = np.random.Generator
FLIPS = 199  # of the sign-flip tests: their level holds at any number


@dataclass(frozen=True, slots=True)
class Claim:
    """``share(runs, seed)`` should lie from ``low`` to ``high``. ``runs``: how many the suite makes."""

    rule: int
    what: str
    n: int
    low: float
    high: float
    runs: int
    share: Callable[[int, int], float]

    @property
    def nominal(self) -> str:
        if self.low == 0:
            return f"<= {self.high:g}"
        return f">= {self.low:g}" if self.high == 1 else f"{self.low:g}-{self.high:g}"

    def error(self, runs: int) -> float:
        """Two Monte-Carlo errors of this many runs, at the nearer limit."""
        limit = self.high if self.low == 0 else self.low
        return 2 * math.sqrt(limit * (1 - limit) / runs)


def answers(rng: Rng, rates: np.ndarray, n: int) -> np.ndarray:
    """0/1 scores [variants, n]: each variant's chance on a row is its rate shifted by the row's difficulty."""
    logit = np.log(rates / (1 - rates))[:, None] + rng.normal(0, 1, n)
    return (rng.random((len(rates), n)) < 1 / (1 + np.exp(-logit))).astype(float)


def flipped(n: int, fixed: float, broken: float, runs: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Pairs of 0/1 scores, each table of flips once, with how often it came up in so many runs."""
    drawn = np.random.default_rng(seed).multinomial(n, [fixed, broken, 1 - fixed - broken], size=runs)[:, :2]
    for (up, down), count in zip(*np.unique(drawn, axis=0, return_counts=True), strict=True):
        d = np.zeros(n)
        d[:up], d[up : up + down] = 1, -1
        yield (d > 0).astype(float), (d < 0).astype(float), int(count)


# Rules 2 to 4: the winner, and who may be it ----------------------------------------------------------------------


def crowned_without_test(n: int, runs: int, seed: int) -> float:
    rng, found = np.random.default_rng(seed), 0
    for each in range(runs):
        scores = answers(rng, np.full(41, 0.7), n)
        found += max_t(scores[1:] - scores[0], each, flips=FLIPS, one_sided=True).min() <= 0.025
    return found / runs


def crowned_on_test(n: int, runs: int, seed: int) -> float:
    """Picked on n dev rows by paired delta, then tested once on n others: p < .05 and delta > 0."""
    rng, found = np.random.default_rng(seed), 0
    for _ in range(runs):
        dev, test = (answers(rng, np.full(41, 0.7), n) for _ in range(2))
        pick = 1 + int(np.argmax((dev[1:] - dev[0]).mean(axis=1)))
        gap = paired(test[pick], test[0], 0)
        found += gap.p < 0.05 and gap.delta > 0
    return found / runs


def best_kept(n: int, spread: float, runs: int, seed: int) -> float:
    """How often the best of 20 variants, from .70 - spread to .70, is in the tie set; of equal ones each is best."""
    rng, found = np.random.default_rng(seed), 0.0
    for each in range(runs):
        kept = tie_set(answers(rng, np.linspace(0.7 - spread, 0.7, 20), n), each, flips=FLIPS)
        found += kept[-1] if spread else kept.mean()
    return found / runs


# Rule 6: intervals, level and power -------------------------------------------------------------------------------


def delta_covered(n: int, fixed: float, broken: float, runs: int, seed: int) -> float:
    held = 0
    for a, b, count in flipped(n, fixed, broken, runs, seed):
        found = paired(a, b, 0)
        held += count * (found.low - 1e-12 <= fixed - broken <= found.high + 1e-12)
    return held / runs


def rate_covered(n: int, runs: int, seed: int) -> float:
    """Wilson, over rates from .02 to .98."""
    found = [rate_interval(np.arange(n) < k) for k in range(n + 1)]
    low, high = np.array([each.low for each in found]), np.array([each.high for each in found])
    rng = np.random.default_rng(seed)
    rates = rng.uniform(0.02, 0.98, runs)
    k = rng.binomial(n, rates)
    return float(np.mean((low[k] <= rates) & (rates <= high[k])))


def called_different(n: int, psi: float, delta: float, runs: int, seed: int) -> float:
    """How often p < .05, of variants scored 0 or 1: the level at delta 0, else the power."""
    found = 0
    for a, b, count in flipped(n, (psi + delta) / 2, (psi - delta) / 2, runs, seed):
        found += count * (mcnemar_midp(int(a.sum()), int(b.sum())) < 0.05)
    return found / runs


def called_different_by_t(n: int, psi: float, delta: float, runs: int, seed: int) -> float:
    """The same by the t test that the interval is made of (1/n added, as a bare t is above its level here)."""
    shares = [(psi + delta) / 2, (psi - delta) / 2, 1 - psi]
    up, down = np.random.default_rng(seed).multinomial(n, shares, size=runs)[:, :2].T
    mean = (up - down) / n
    variance = ((up + down) / n - mean**2) * n / (n - 1) + 1 / n
    return float(np.mean(np.abs(mean) / np.sqrt(variance / n) > stdtrit(n - 1, 0.975)))


# Rules 7 and 8: macro-F1 and groups -------------------------------------------------------------------------------

RIGHT = {"a": (0.85, 0.8, 0.7, 0.6), "b": (0.8, 0.75, 0.75, 0.5)}  # by class
COMMON = {"even classes": (0.25, 0.25, 0.25, 0.25), "a rare class": (0.5, 0.25, 0.15, 0.1)}
CLASSES = ("w", "x", "y", "z")


def true_macro_f1(common: tuple[float, ...], right: tuple[float, ...]) -> float:
    """Wrong answers go to the three other classes alike."""
    p, r = np.array(common), np.array(right)
    hits, lost = p * r, p * (1 - r)
    claimed = hits + (lost.sum() - lost) / 3
    return float(np.mean(2 * hits / (p + claimed)))


def macro_f1_covered(n: int, common: str, runs: int, seed: int) -> float:
    """The difference of two variants' macro-F1, by pseudo-values."""
    rng, shares = np.random.default_rng(seed), COMMON[common]
    truth = true_macro_f1(shares, RIGHT["a"]) - true_macro_f1(shares, RIGHT["b"])
    held = 0
    for _ in range(runs):
        want = rng.choice(4, n, p=shares)
        pseudo = []
        for right in RIGHT.values():
            got = np.where(rng.random(n) < np.array(right)[want], want, (want + rng.integers(1, 4, n)) % 4)
            expected, answered = ([CLASSES[k] for k in each] for each in (want, got))
            without = np.array(leave_one_out(expected, answered, CLASSES))
            pseudo.append(macro_f1(expected, answered, CLASSES) + (n - 1) * (without.mean() - without))
        found = paired(*pseudo, seed=None)
        held += found.low <= truth <= found.high
    return held / runs


def in_groups(rng: Rng, count: int, size: int, shared: float) -> tuple[np.ndarray, np.ndarray]:
    """Graded scores' differences with a true mean of 0, ``shared`` of their variance that of the group; the groups."""
    groups = np.repeat(np.arange(count), size)
    own = rng.normal(0, math.sqrt(1 - shared), len(groups))
    return rng.normal(0, math.sqrt(shared), count)[groups] + own, groups


def groups_called_different(count: int, runs: int, seed: int, *, naive: bool = False) -> float:
    rng, found = np.random.default_rng(seed), 0
    for _ in range(runs):
        d, groups = in_groups(rng, count, 10, 0.5)
        found += paired(d, np.zeros(len(d)), None, groups=None if naive else groups).p < 0.05
    return found / runs


def groups_crowned(count: int, runs: int, seed: int) -> float:
    """Max-T by flips of groups, over 10 equal variants."""
    rng, found = np.random.default_rng(seed), 0
    for each in range(runs):
        deltas = np.array([in_groups(rng, count, 5, 0.5)[0] for _ in range(10)])
        found += max_t(deltas, each, flips=FLIPS, groups=np.repeat(np.arange(count), 5)).min() <= 0.05
    return found / runs


def groups_covered(count: int, runs: int, seed: int) -> float:
    rng, held = np.random.default_rng(seed), 0
    for _ in range(runs):
        d, groups = in_groups(rng, count, 5, 0.5)
        found = paired(d, np.zeros(len(d)), None, groups=groups)
        held += found.low <= 0 <= found.high
    return held / runs


# Rules 9 and 11: the same test rows again, and the gate -----------------------------------------------------------


def better_by_rereading(n: int, runs: int, seed: int, *, counted: bool = True) -> float:
    """20 edits that change nothing, each tested on the same rows: how often any is called better."""
    rng = np.random.default_rng(seed)
    rates = 1 / (1 + np.exp(-(0.85 + rng.normal(0, 1, (runs, n)))))
    base = rng.random((runs, n)) < rates
    better = np.zeros(runs, bool)
    for read in range(1, 21):
        edit = rng.random((runs, n)) < rates
        fixed, broken = (edit & ~base).sum(axis=1), (base & ~edit).sum(axis=1)
        tables, which = np.unique(np.column_stack([fixed, broken]), axis=0, return_inverse=True)
        p = np.array([reread(mcnemar_midp(int(up), int(down)), read if counted else 1) for up, down in tables])
        better |= (p[which.ravel()] < 0.05) & (fixed > broken)
    return float(better.mean())


def gated(n: int, psi: float, delta: float, verdict: str, runs: int, seed: int, margin: float = 0.02) -> float:
    """How often the gate says so of a change by ``delta`` that answers ``psi`` of the rows differently."""
    found = 0
    for a, b, count in flipped(n, (psi + delta) / 2, (psi - delta) / 2, runs, seed):
        found += count * (gate(a, b, margin).verdict == verdict)
    return found / runs


# Rule 14: the plan ------------------------------------------------------------------------------------------------


def planned_power(n: int, psi: float, runs: int, seed: int) -> float:
    delta = smallest_difference(n, psi)
    assert delta is not None
    return called_different(n, psi, delta, runs, seed)


Table = tuple[tuple[int, int], ...]  # rows, and the runs of the suite


def _claims(rule: int, what: str, band: tuple[float, float], table: Table, share: Callable[..., float]) -> list[Claim]:
    return [Claim(rule, what, n, *band, runs, partial(share, n)) for n, runs in table]


SIZES = (50, 200, 1000)
BAND = (0.935, 0.965)
EQUAL = (0, 0.05)
MANY: Table = tuple((n, 5000) for n in SIZES)
CLAIMS: tuple[Claim, ...] = (
    *_claims(2, "one of 40 equal variants is crowned without a test split", (0, 0.03),
             ((50, 800), (200, 500), (1000, 150)), crowned_without_test),
    *_claims(3, "one of 40 equal variants is crowned on test", EQUAL,
             ((50, 800), (200, 500), (1000, 200)), crowned_on_test),
    *_claims(4, "the best of 20 within 4 points is in the tie set", (0.95, 1),
             ((50, 150), (200, 120), (1000, 50)), lambda n, *way: best_kept(n, 0.04, *way)),
    # nominal here, not above: .947 to .950 in 2000 runs
    *_claims(4, "each of 20 equal variants is in the tie set", (0.945, 1),
             ((50, 150), (200, 120), (1000, 50)), lambda n, *way: best_kept(n, 0.0, *way)),
    *_claims(6, "a rate is covered (Wilson)", BAND, tuple((n, 20_000) for n in (20, *SIZES)), rate_covered),
    *(Claim(6, f"a difference is covered, {100 * up:g} % fixed and {100 * down:g} % broken", n, *BAND, 20_000,
            partial(delta_covered, n, up, down))
      for n, up, down in ((50, 0.2, 0.1), (200, 0.1, 0.05), (1000, 0.05, 0.05))),
    *_claims(6, "p < .05 of equal variants, 20 % of rows differ", EQUAL, MANY,
             lambda n, *way: called_different(n, 0.2, 0.0, *way)),
    *(claim for common in COMMON for claim in _claims(
        7, f"a macro-F1 difference is covered, {common}", (0.93, 1), ((50, 300), (100, 300), (200, 200), (1000, 100)),
        partial(lambda common, n, *way: macro_f1_covered(n, common, *way), common))),
    *_claims(8, "p < .05 of equal variants, rows in groups of 10", (0.03, 0.07),
             ((100, 1000), (200, 1000), (1000, 500)), lambda n, *way: groups_called_different(n // 10, *way)),
    *_claims(8, "a difference is covered, rows in groups of 5", (0.93, 1), ((50, 600), (200, 600), (1000, 300)),
             lambda n, *way: groups_covered(n // 5, *way)),
    *_claims(8, "one of 10 equal variants is crowned, rows in groups of 5", EQUAL, ((50, 500), (200, 400), (1000, 150)),
             lambda n, *way: groups_crowned(n // 5, *way)),
    *_claims(9, "of 20 edits that change nothing one is called better", EQUAL, ((50, 2000), (200, 1000), (1000, 300)),
             better_by_rereading),
    *_claims(11, "an unchanged prompt fails the gate", EQUAL, MANY,
             lambda n, *way: gated(n, 0.1, 0.0, "regressed", *way)),
    *_claims(11, "a prompt worse by the margin passes the gate", EQUAL, MANY,
             lambda n, *way: gated(n, 0.1, -0.02, "passed", *way)),
    *(Claim(14, f"the smallest difference is found, {100 * psi:g} % of rows differ", n, 0.77, 0.83, 5000,
            partial(planned_power, n, psi)) for n, psi in ((200, 0.2), (500, 0.1), (1000, 0.3))),
)  # fmt: skip
