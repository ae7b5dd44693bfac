"""A project out of a promptfoo configuration. What has no counterpart is said, never dropped in silence."""

from promptlab.starter.promptfoo.imported import imported

__all__ = ["imported"]
