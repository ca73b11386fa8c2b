"""What the examples share: one-line errors, and output files that appear whole or not at all."""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn


class Refusal(Exception):
    """A request that cannot be met; its text is the one line that the user reads."""


class Parser(argparse.ArgumentParser):
    """An argument parser that keeps the line breaks of its texts and refuses in one line."""

    def __init__(self, **options: str | None) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        raise Refusal(f"{message} (--help shows the options)")


def run(work: Callable[[argparse.Namespace], None], parser: Parser, argv: Sequence[str] | None) -> int:
    """Parse `argv`, do the work and return the exit code: 0, or 2 after one line on stderr."""
    try:
        work(parser.parse_args(argv))
    except (Refusal, MemoryError) as error:
        print("error:", " ".join(str(error).split()) or "out of memory", file=sys.stderr)
        return 2
    return 0


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises on a broken file into a `Refusal`, and keep its warnings quiet."""
    logging.disable()
    try:
        with warnings.catch_warnings(), refusing(f"cannot read {path}"):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def writing(*paths: Path) -> Iterator[list[Path]]:
    """Give a draft's path beside each of `paths`; rename the drafts at the end, or leave nothing."""
    drafts = [path.with_name(f".{os.getpid()}.{path.name}") for path in paths]
    try:
        with refusing(f"cannot write {' and '.join(map(str, paths))}"):
            yield drafts
            for draft, path in zip(drafts, paths, strict=True):
                draft.replace(path)
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn any error into a `Refusal` that begins with `what`."""
    try:
        yield
    except (Refusal, MemoryError):
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or getattr(error, "error_string", None) or str(error)
        raise Refusal(f"{what}: {reason if ' ' in reason else repr(error)}") from error


def check_outputs(output: Path, suffixes: Sequence[str], plot: Path | None, folder: bool = False) -> list[Path]:
    """The files to write, or the folder, checked before the work begins."""
    outputs = [(output, suffixes)] if plot is None else [(output, suffixes), (plot, [".png"])]
    for path, allowed in outputs:
        if not path.name.lower().endswith(tuple(allowed)):
            raise Refusal(f"cannot write {path}: its name must end in {' or '.join(allowed)}")
        if not path.parent.is_dir():
            raise Refusal(f"cannot write {path}: there is no folder {path.parent}")
        if path.is_dir() and not folder:
            raise Refusal(f"cannot write {path}: it is a folder")
    return [path for path, _ in outputs]


def finite(text: str) -> float:
    """An option's value that is a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a number, but is {text}")
    return value


def positive(text: str) -> float:
    """An option's value that is a finite number above 0."""
    with suppress(argparse.ArgumentTypeError):
        if (value := finite(text)) > 0:
            return value
    raise argparse.ArgumentTypeError(f"must be a number above 0, but is {text}")


def count(text: str) -> int:
    """An option's value that is a whole number from 1 up."""
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 up, but is {text}")
    return int(text)
