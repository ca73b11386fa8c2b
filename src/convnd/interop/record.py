"""The record of an output that is written block by block: a file beside it that says which blocks are finished.

A block is entered when all of it is written, with a checksum of its values. Whoever goes on from the record compares
them, so that a block counts as finished only while the output holds it: neither a process that was killed nor an
output that was made anew in between leaves a wrong one.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

_SUFFIX = ".convnd"


class Record:
    """The finished blocks of a job.

    Parameters
    ----------
    output : Path
        The output.
    job : str
        What tells the job from any other. A record of another job is not taken.
    """

    def __init__(self, output: Path, job: str) -> None:
        self._path = record_path(output)
        self._title = f"convnd {job}\n".encode()
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            text = b""
        text = text[: text.rfind(b"\n") + 1]  # a line that has no end was being written
        if not text.startswith(self._title):
            text = self._title
        self._path.write_bytes(text)
        self._text = text

    def finished(self) -> dict[int, int]:
        """Return the checksums of the blocks that were finished, by their numbers."""
        lines = self._text[len(self._title) :].decode().split("\n")[:-1]
        return {int(number): int(checksum) for number, checksum in (line.split() for line in lines)}

    def add(self, number: int, checksum: int) -> None:
        """Enter a block that is finished."""
        with self._path.open("ab") as file:
            file.write(f"{number} {checksum}\n".encode())

    def remove(self) -> None:
        """Take the record away: there is nothing left to do."""
        self._path.unlink(missing_ok=True)


def record_path(output: Path) -> Path:
    """Return where the record of an output is."""
    return output.with_name(output.name + _SUFFIX)


def checksum(values: np.ndarray) -> int:
    """Return a checksum of values, line by line so that no copy of all is made."""
    total = 0
    for part in values if values.ndim > 1 else [values]:
        total = zlib.crc32(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data, total)
    return total
