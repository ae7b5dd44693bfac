"""The version: in the manifest, and in the identity of every run."""

__version__ = "0.1.0"
