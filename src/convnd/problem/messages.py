"""Values as messages show them: on one line, however long they are and whatever their class does."""

from __future__ import annotations

from reprlib import Repr
from typing import Any

_MOST = 80  # characters
_brief = Repr()
_brief.maxstring = _brief.maxlong = _brief.maxother = _MOST


def shown(value: Any) -> str:
    """Return a value as a message shows it."""
    try:
        text = " ".join(_brief.repr(value).split())
    except Exception:  # of a class of the user's, or a number of thousands of digits
        return f"a {type(value).__name__}"
    return text if len(text) <= 2 * _MOST else f"{text[:_MOST]}..."
