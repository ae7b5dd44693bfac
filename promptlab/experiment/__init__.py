"""The experiment file: experiment.yaml, parsed, checked and frozen."""

from promptlab.experiment.bank import BankSpec
from promptlab.experiment.canonical import canonical
from promptlab.experiment.data import Data, LabelName, SplitPlan
from promptlab.experiment.experiment import Draft, Experiment, missing_keys, read_draft
from promptlab.experiment.search import MetricSpec, Search

__all__ = [
    "BankSpec",
    "Data",
    "Draft",
    "Experiment",
    "LabelName",
    "MetricSpec",
    "Search",
    "SplitPlan",
    "canonical",
    "missing_keys",
    "read_draft",
]
