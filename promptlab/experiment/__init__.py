"""The experiment file: experiment.yaml, parsed, checked and frozen."""

from promptlab.experiment.bank import BankSpec
from promptlab.experiment.data import Data, LabelName, SplitPlan
from promptlab.experiment.experiment import Experiment, canonical, missing_keys
from promptlab.experiment.search import MetricSpec, Search

__all__ = [
    "BankSpec",
    "Data",
    "Experiment",
    "LabelName",
    "MetricSpec",
    "Search",
    "SplitPlan",
    "canonical",
    "missing_keys",
]
