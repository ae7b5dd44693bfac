"""The winner as files that other things read: a template, messages, Python, other tools' formats; with provenance."""

from promptlab.export.chosen import Chosen, chosen
from promptlab.export.export import KINDS, export

__all__ = ["KINDS", "Chosen", "chosen", "export"]
