"""How a p is written: two digits, more where they would hide its side of .05; "≤" where resampling can show no less."""

from __future__ import annotations

import math

ALPHA = 0.05
FLOOR = 1 / 2001  # the least that 2,000 flips of signs can show


def p_text(p: float, floor: float = FLOOR) -> str:
    """A p for people; ``floor``: the least that its resampling can show, times what p is multiplied by."""
    for digits in range(2, 8):
        text = f"{p:.{digits}g}"
        if (float(text) < ALPHA) == (p < ALPHA):
            break
    return f"≤ {text}" if math.isclose(p, floor, rel_tol=1e-5) else text


def p_said(p: float, floor: float = FLOOR) -> str:
    """A p in a sentence: "p = 0.03", "p ≤ 0.0005"."""
    text = p_text(p, floor)
    return f"p {text}" if text[0] == "≤" else f"p = {text}"
