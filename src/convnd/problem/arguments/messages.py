"""Values as error messages show them: on one line, of any length and any class."""

from html import escape
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


class Printed:
    """Shows its text in consoles and notebooks: a title, and lines that each begin with a word."""

    def __repr__(self) -> str:
        return f"<convnd.{type(self).__name__} {self}>".replace("\n", "\n  ")

    def _repr_html_(self) -> str:
        title, *lines = escape(str(self)).splitlines()
        rows = [f"<tr><th>{label}</th><td>{text}</td></tr>" for label, text in (own.split(None, 1) for own in lines)]
        return f"<table><caption>convnd.{type(self).__name__} {title}</caption>{''.join(rows)}</table>"
