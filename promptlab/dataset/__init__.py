"""Labelled sets: loaded from files, split so that nothing leaks, checked for rows that say the same."""

from promptlab.dataset.load import Columns, Dataset, load, read_rows

__all__ = ["Columns", "Dataset", "load", "read_rows"]
