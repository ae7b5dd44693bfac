"""A sample of scores and the standard error of its mean: weighted, and of rows that belong together.

Rows of one group (one customer, one document) are right and wrong together, so that 50 of them may be worth 5. The
variance of the mean then comes from the sums of the groups (cluster-robust, Liang & Zeger 1986, with the factor
G/(G-1)) and has G - 1 degrees of freedom for G groups.

Every variance has 1/n added, as ``promptlab.stats.paired`` says: one more row that disagrees. In an interval of rows in
groups n is what they are worth. A p does without: it keeps its level, and power, by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Codes: TypeAlias = npt.NDArray[np.int64]

FLAT = 1e-18  # a variance that is none
FEWEST_GROUPS = 8  # below which sums of groups say too little of their own spread for a p


@dataclass(frozen=True, slots=True)
class Sample:
    """The rows that have a score and a weight, sorted, so that nothing depends on their order.

    ``weights`` is None where all are equal, ``groups`` (a code per row) where every row is a group of its own.
    """

    rows: Array
    weights: Array | None
    groups: Codes | None

    @property
    def effective(self) -> float:
        """Kish's effective number of rows."""
        w = self.weights
        return float(len(self.rows)) if w is None else float(np.sum(w) ** 2 / np.sum(w**2))

    @property
    def units(self) -> int:
        """What is independent: the groups, or the rows."""
        return len(self.rows) if self.groups is None else len(np.unique(self.groups))

    @property
    def freedom(self) -> float:
        """The degrees of freedom of the standard error."""
        return self.effective - 1 if self.groups is None else self.units - 1.0

    @property
    def worth(self) -> float:
        """The independent rows that these are worth: n by the design effect; their groups where no row differs."""
        if self.groups is None:
            return self.effective
        sizes = self._sums(np.ones(len(self.rows)))
        alone, found = self.variance() / self.effective, self._clustered()
        effect = max(1.0, found / alone) if alone > FLAT else math.inf
        return max(float(1 / np.sum(sizes**2)), self.effective / effect)

    @property
    def apart(self) -> int:
        """The units that are not 0."""
        return int(np.sum((self.rows if self.groups is None else self._sums(self.rows)) != 0))

    def mean(self) -> float:
        """The (weighted) mean; NaN without rows."""
        return self.average(self.rows) if len(self.rows) else math.nan

    def average(self, values: Array) -> float:
        """The (weighted) mean of other values of these rows."""
        w = self.weights
        return float(np.mean(values)) if w is None else float(values @ w / np.sum(w))

    def variance(self) -> float:
        """The sample variance of one row, without the 1/n."""
        n = self.effective
        return self.average((self.rows - self.mean()) ** 2) * n / (n - 1)

    def standard_error(self, bare: bool = False) -> float:
        """That of the mean, with the 1/n or ``bare``. Needs two units."""
        n = self.worth
        found = self.variance() / self.effective if self.groups is None else self._clustered()
        return math.sqrt(found if bare else found + 1 / n**2)

    def _clustered(self) -> float:
        count = self.units
        return float(np.sum(self._sums(self.rows - self.mean()) ** 2)) * count / (count - 1)

    def _sums(self, values: Array) -> Array:
        """The sums of the groups, each row with its share of the whole weight."""
        w = np.ones(len(values)) if self.weights is None else self.weights
        codes = np.zeros(len(values), np.int64) if self.groups is None else self.groups
        return np.asarray(np.bincount(codes, w * values) / w.sum())


def sample_of(values: Array, weights: npt.ArrayLike | None = None, groups: npt.ArrayLike | None = None) -> Sample:
    """The sample of the rows of ``values`` that are not NaN and whose weight is above 0."""
    keep = ~np.isnan(values)
    w = None if weights is None else np.asarray(weights, float)
    codes = None if groups is None else np.asarray(groups, np.int64)
    if w is not None:
        keep &= w > 0
        w = w[keep]
    rows = values[keep]
    codes = None if codes is None else codes[keep]
    order = np.lexsort([key for key in (codes, w, rows) if key is not None])
    rows, w = rows[order], None if w is None else w[order]
    codes = None if codes is None else codes[order]
    if w is not None and (len(w) == 0 or np.all(w == w[0])):
        w = None
    if codes is not None:
        names, codes = np.unique(codes, return_inverse=True)
        codes = None if len(names) == len(rows) else codes
    return Sample(rows, w, codes)


def codes_of(names: Sequence[str]) -> Codes | None:
    """A number per row, the same for rows of one group; an empty name is a group of its own. None = all are."""
    own = [name or f"\0{at}" for at, name in enumerate(names)]  # no name from a file holds a NUL and a place
    found, codes = np.unique(np.array(own, dtype=object), return_inverse=True)
    return None if len(found) == len(own) else codes.astype(np.int64)
