"""In which order rows are asked, once finalists of earlier cohorts were scored on all of them.

Rows differ in how much they tell about a variant's mean over the whole set. From the complete rows of good variants of
the same task, the covariance between rows is estimated (shrunk: few finalists, many rows); then rows are taken one by
one, each the one that lowers the posterior variance of the mean the most (greedy design for a Gaussian; compare
Krause, Singh & Guestrin 2008). Every third row comes from the shared order, which is a fair sample. A prefix of this
order ranks variants; its mean is no accuracy.
"""

from __future__ import annotations

import numpy as np

from promptlab.allocators.cohort import Columns, scored
from promptlab.view import Scores, View

KNOWN = 3  # complete rows from which on they order the rows
BEST = 5  # of them are listened to: what bad variants get right tells nothing about good ones
SHRINK, RATIO = 10.0, 0.1  # prior weight in finalists; prior correlation of rows
TELLING = 2  # rows that tell most for each fair one
WIDEST = 500  # rows among which the order looks: the work grows with the cube


def item_order(view: View) -> Columns:
    """The columns of dev in the order in which they are asked.

    The shared order where fewer than three variants were scored on every row.
    """
    whole = len(view.dev)
    shared = np.arange(whole)
    rows = _good(view)
    if len(rows) < KNOWN or whole < 4:
        return shared
    among = shared[:WIDEST]
    told = among[informative(scored(view, rows, among), (len(among) + 1) // 2)]
    return _by_turns(told.tolist(), shared.tolist())


def _by_turns(told: list[int], shared: list[int]) -> Columns:
    """Two of those that tell most, one of the shared order, and so on, each column once; at last what is left."""
    taken: dict[int, None] = {}
    rest = iter(shared)
    for column in told:
        if column in taken:
            continue
        taken[column] = None
        if len(taken) % (TELLING + 1) != TELLING:
            continue
        fair = next((each for each in rest if each not in taken), None)
        if fair is not None:
            taken[fair] = None
    return np.array([*taken, *(each for each in shared if each not in taken)], np.int64)


def _good(view: View) -> list[int]:
    """The best of the variants that were scored on every row, as many as are listened to."""
    complete = np.flatnonzero(view.asked.all(axis=1) & ~np.isnan(view.scores).all(axis=1))
    means = np.array([np.nanmean(view.scores[v]) for v in complete])
    return [int(v) for v in complete[np.argsort(-means, kind="stable")][:BEST]]


def informative(rows: Scores, count: int) -> Columns:
    """The ``count`` columns of complete ``rows`` [variants, columns] that tell most about the mean, best first."""
    covariance = shrunk(rows)
    size = len(covariance)
    count = min(count, size)
    told = covariance.sum(axis=1) / size  # covariance of each column with the mean
    variance = np.diag(covariance).copy()
    factors = np.empty((count, size))
    free = np.ones(size, bool)
    chosen = np.empty(count, np.int64)
    for at in range(count):
        gain = np.where(free, told * told / np.maximum(variance, 1e-12), -1.0)
        i = int(gain.argmax())
        factor = (covariance[i] - factors[:at, i] @ factors[:at]) / np.sqrt(max(variance[i], 1e-12))
        factors[at], chosen[at], free[i] = factor, i, False
        variance -= factor * factor
        told = told - factor * factor.mean()
    return chosen


def shrunk(rows: Scores) -> Scores:
    """The covariance of the columns, drawn towards one in which all are alike, with noise on its diagonal.

    Missing cells count as their column's mean. Where all rows are the same, no column tells more than another.
    """
    means = np.where(
        np.isnan(rows).all(axis=0), 0.0, np.nanmean(np.where(np.isnan(rows).all(axis=0), 0.0, rows), axis=0)
    )
    centred = np.where(np.isnan(rows), means, rows) - means
    size = len(rows)
    found = centred.T @ centred / size
    own = np.diag(found)
    typical = max(float(own.mean()), 1e-6)
    level = 0.25 * typical + 0.75 * own
    root = np.sqrt(level + 0.02 * typical)
    prior = RATIO * np.outer(root, root)
    np.fill_diagonal(prior, level + 0.05 * typical)
    trust = size / (size + SHRINK)
    return np.asarray(trust * found + (1 - trust) * prior + 0.05 * typical * np.eye(len(own)))
