"""Templates: one .j2 file with roles, choices and slots; the space is read from the parsed file."""

from promptlab.template.files import load
from promptlab.template.template import Source, Template, parse

__all__ = ["Source", "Template", "load", "parse"]
