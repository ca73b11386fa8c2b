"""Values as error messages show them: on one line, of any length and any class."""

from __future__ import annotations

from reprlib import Repr
from typing import Any

_MOST = 80  # characters
_brief = Repr()
_brief.maxstring = _brief.maxlong = _brief.maxother = _MOST


def shown(value: Any) -> str:
    """Return the text of a value for an error message."""
    try:
        text = " ".join(_brief.repr(value).split())
    except Exception:  # a user's class raises it, or an int has thousands of digits
        return f"a {type(value).__name__}"
    return text if len(text) <= 2 * _MOST else f"{text[:_MOST]}..."
