"""A run as one page: self-contained HTML that asks nobody for anything; served live while the run goes on."""

from promptlab.report.page import page, write

__all__ = ["page", "write"]
