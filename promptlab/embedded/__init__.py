"""The embedded engine: a small, deterministic, offline model behind an OpenAI-compatible HTTP server.

It is no language model. It knows nothing but what a request holds: label names, descriptions, demonstrations,
passages and the format asked for. Its scores prove the path from files to tables, never a prompt's worth.
"""

VERSION = "1"
"""Raised whenever an answer may change; part of the endpoint's identity (``embedded@VERSION``) in cache keys."""
