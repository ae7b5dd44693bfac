"""Text that a proposer wrote in the place of an option's. Imports nothing of ours."""

from __future__ import annotations

from typing import Self


class Rewritten(str):
    """The value of an open slot that a proposer wrote: the text that stands where ``option`` has its own.

    What is no text in the option travels in it as tokens ``⟦1⟧``, ``⟦2⟧``, ...
    """

    __slots__ = ("option",)
    option: str

    def __new__(cls, text: str, option: str) -> Self:
        """The text ``text`` for the option ``option``."""
        made = super().__new__(cls, text)
        made.option = option
        return made

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]  # copies keep the option
        return str(self), self.option
