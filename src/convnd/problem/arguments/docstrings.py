"""Docstrings of functions that share their arguments: a table says what each argument means."""

import inspect
from collections.abc import Callable, Mapping
from textwrap import indent
from typing import Any


def complete(
    function: Callable[..., Any], meanings: Mapping[str, str], raises: str, setup: str, returns: str = ""
) -> None:
    """Give a function's docstring all its sections; its last paragraph is the example, which ``setup`` comes before.

    ``meanings`` has ``"type: meaning"`` of each argument. What is returned is said by ``returns``, or by the paragraph
    before the example.
    """
    if not function.__doc__:  # "python -OO" leaves out docstrings
        return
    text, example = inspect.cleandoc(function.__doc__).rsplit("\n\n", 1)
    if not returns:
        text, returns = text.rsplit("\n\n", 1)
    arguments = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind, meaning = meanings[name].split(": ", 1)
        optional = "" if parameter.default is parameter.empty else ", optional"
        stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        arguments.append(f"{stars}{name} : {kind}{optional}\n    {meaning}")
    sections = {
        "Parameters": "\n".join(arguments),
        "Returns": f"ndarray\n{indent(returns, '    ')}",
        "Raises": raises,
        "Examples": f"{setup}\n{example}",
    }
    texts = [f"{title}\n{'-' * len(title)}\n{body}" for title, body in sections.items()]
    function.__doc__ = "\n\n".join([text, *texts])
