"""What the examples share: one-line errors, output files that appear whole or not at all, and a summary of the work."""

import argparse
import logging
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NoReturn, TypeVar

from tqdm import tqdm

Result = TypeVar("Result")


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
    """Give a draft's path for each of `paths`, in a new folder beside it; move them at the end, or leave nothing."""
    with refusing(f"cannot write {' and '.join(map(str, paths))}"), ExitStack() as stack:
        folders = [stack.enter_context(tempfile.TemporaryDirectory(prefix=".", dir=path.parent)) for path in paths]
        drafts = [Path(folder) / path.name for folder, path in zip(folders, paths, strict=True)]
        yield drafts
        for draft, path in zip(drafts, paths, strict=True):
            draft.replace(path)


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


def check_outputs(
    options: argparse.Namespace,
    source: Path,
    output: Path,
    suffixes: Sequence[str],
    plot: Path | None = None,
    folder: bool = False,  # whether the output is one, which may be there, and be finished
) -> list[Path]:
    """The files to write, checked before the work begins: none of them replaces another without --force."""
    outputs = [(output, suffixes)] if plot is None else [(output, suffixes), (plot, [".png"])]
    for path, allowed in outputs:
        if not path.name.lower().endswith(tuple(allowed)):
            raise Refusal(f"cannot write {path}: its name must end in {' or '.join(allowed)}")
        if not path.parent.is_dir():
            raise Refusal(f"cannot write {path}: there is no folder {path.parent}")
        if path.resolve() == source.resolve():
            raise Refusal(f"cannot write {path}: it is the input")
        if folder and path == output:
            continue
        if path.is_dir():
            raise Refusal(f"cannot write {path}: it is a folder")
        if path.exists() and not options.force:
            raise Refusal(f"cannot write {path}: it is there already (-o names another file, --force replaces it)")
    paths = [path for path, _ in outputs]
    if len({path.resolve() for path in paths}) < len(paths):
        raise Refusal(f"cannot write {output}: --plot has the same name")
    return paths


def add_common(parser: Parser) -> None:
    """Add the options that every example has."""
    parser.add_argument("--force", action="store_true", help="replace files that are there already (default: refuse)")
    parser.add_argument("--compare", action="store_true", help="print SciPy's time for the same work (default: do not)")


def add_plot(parser: Parser, what: str) -> None:
    """Add the options that name the picture, or leave it out."""
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--plot", type=Path, metavar="PNG", help=f"the picture to draw, {what} (default: OUT's name with _plot.png)"
    )
    either.add_argument("--no-plot", action="store_true", help="draw no picture (default: draw one)")


def plot_path(options: argparse.Namespace, output: Path) -> Path | None:
    """Where the picture goes: beside the output, unless the user says otherwise."""
    if options.no_plot:
        return None
    stem = output.name.removesuffix(".gz").rsplit(".", 1)[0]
    return options.plot or output.with_name(f"{stem}_plot.png")


def progress(what: str, total: int, unit: str) -> tqdm:
    """A bar with the rate and the time left, where the work takes longer than a moment."""
    shape = "{desc} {percentage:3.0f} % |{bar}| {n_fmt} of {total_fmt}{unit}s, {rate_fmt}, {remaining} left"
    return tqdm(desc=what, total=total, unit=f" {unit}", unit_scale=True, delay=0.5, leave=False, bar_format=shape)


class Clock:
    """Seconds that each part of the work took: ``with clock("read"): ...``, as often as needed."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.held = peak_memory()

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - start

    def twice(self, work: Callable[[], Result]) -> Result:
        """Do the work twice: a first call compiles code, or loads it, and the second takes the time it always takes."""
        with self("first call"):
            work()
        with self("convolve"):
            return work()

    def __str__(self) -> str:
        return ", ".join(f"{part} {seconds:.3g} s" for part, seconds in self.seconds.items())


def compared(clock: Clock, name: str, work: Callable[[], object]) -> dict[str, object]:
    """The summary's line on the time that SciPy takes."""
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    return {"SciPy": f"{name} {seconds:.3g} s, {seconds / clock.seconds['convolve']:.3g} times ours"}


def summarise(
    about: Mapping[str, object], clock: Clock, written: Sequence[Path], samples: int = 0, unit: str = ""
) -> None:
    """Print what was done, seconds, how many samples a second were convolved, memory, and what was written."""
    lines = dict(about)
    first = "first call" in clock.seconds
    lines["time"] = f"{clock}" + (" (the first call compiles code, or loads it)" if first else "")
    if samples:
        lines["rate"] = f"{samples / clock.seconds['convolve'] / 1e6:.3g} million {unit} convolved a second"
    if (peak := peak_memory()) is not None:
        lines["memory"] = f"{peak / 2**20:.0f} MiB at most, {(clock.held or 0) / 2**20:.0f} of them before it began"
    lines["wrote"] = ", ".join(map(str, written))
    for name, text in lines.items():
        print(f"{name:<9} {text}")


def peak_memory() -> int | None:
    """The most bytes that the process has held at once, where the system tells."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


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


def length(text: str) -> float:
    """An option's value that is a length above 0, in millimetres: 2, 2mm or 10um."""
    number = text.removesuffix("mm")
    for unit in ("um", "\N{MICRO SIGN}m", "\N{GREEK SMALL LETTER MU}m"):
        if text.endswith(unit):
            return positive(text.removesuffix(unit)) / 1000
    return positive(number)


def metric(*millimetres: float) -> str:
    """Lengths as text, in micrometres where all are short."""
    factor, unit = (1000, "\N{MICRO SIGN}m") if max(millimetres) < 0.1 else (1, "mm")
    return f"{' x '.join(f'{factor * value:.4g}' for value in millimetres)} {unit}"


def count(text: str) -> int:
    """An option's value that is a whole number from 1 up."""
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 up, but is {text}")
    return int(text)
