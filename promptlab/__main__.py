"""``python -m promptlab`` is the command ``promptlab``."""

from promptlab.cli import main

main()
