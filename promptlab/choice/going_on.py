"""A choice that was stopped says where it stands, and that the same command goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from contextlib import contextmanager

from promptlab.errors import EndpointUnusable, Interrupted

KEPT = "Every answer is kept: run the same command to go on."


@contextmanager
def going_on(arm: str, done: Sized, many: int) -> Iterator[None]:
    """While ``arm`` is mined, with so many arms ``done`` of ``many``: errors that stop a choice name it and say so."""
    place = f"arm {arm} ({len(done)} of {many} arms done): " if arm else ""
    try:
        yield
    except KeyboardInterrupt:  # between two runs, where none is there to end in good order
        raise Interrupted(f"{place}stopped. {KEPT}", 130) from None
    except Interrupted as error:
        raise Interrupted(f"{place}{error}", error.exit_code) from None
    except EndpointUnusable as error:
        more = "" if "Every answer is kept" in str(error) else f"{'' if str(error).endswith('.') else '.'} {KEPT}"
        raise EndpointUnusable(f"{place}{error}{more}") from None
