"""The pictures that the examples draw: slices of scans, spectrograms, photographs side by side."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes

from _common import metric
from _scans import Scan

DPI = 100
MOST_SLICES = 5
MOST_PIXELS = 512  # along a slice's side; of more, every second, third, ... is drawn
FLOOR, SILENCE, LOWEST, BANDS = -90, -100, 40.0, 320  # of a spectrogram: decibels, hertz, rows


@dataclass(frozen=True)
class Slices:
    """A few slices of an array, and how they lie in a picture."""

    titles: list[str]
    pixel: tuple[float, float]  # millimetres, down and across
    sides: tuple[str, str]  # what lies to the left and to the right
    of: Callable[[Any], list[np.ndarray]]  # (rows, columns) each, the first row at the top


# Scans


def spread(depth: int) -> list[int]:
    """Indices of a few slices, the outermost left out."""
    return sorted({int(index) for index in np.linspace(0.1 * depth, 0.9 * depth, MOST_SLICES)})


def thin(width: int) -> int:
    """The step between the pixels that are drawn."""
    return -(-width // MOST_PIXELS)


def slices_of(scan: Scan) -> Slices:
    """Slices across the axis with the widest spacing; of a patient, as radiologists look at them."""
    return volume_slices(scan) if scan.affine is None else upright((*scan.voxels.shape, 1)[:3], scan.affine)


def upright(shape: Sequence[int], affine: np.ndarray) -> Slices:
    """Slices in the plane that a scan resolves best, as radiologists look at them: from the feet, or the front."""
    turn = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt("LAS"))
    turned = affine @ nib.orientations.inv_ornt_aff(turn, shape[:3])
    spacing = voxel_sizes(turned).tolist()
    own = [int(np.flatnonzero(turn[:, 0] == axis)[0]) for axis in range(3)]  # the scan's axes, which may run otherwise
    across = max(range(3), key=lambda axis: (shape[own[axis]] == 1, spacing[axis], axis))
    right, up = (axis for axis in range(3) if axis != across)
    depth, is_turned = shape[own[across]], turn[own[across], 1] < 0
    chosen = spread(depth)
    steps = [thin(shape[own[axis]]) for axis in (up, right)]

    def of(voxels: np.ndarray) -> list[np.ndarray]:
        first = np.reshape(voxels, (*shape, -1), order="F")[..., 0]
        volume = nib.orientations.apply_orientation(first, turn)
        return [volume.take(index, across).T[:: -steps[0], :: steps[1]] for index in chosen]

    numbers = [depth - index if is_turned else index + 1 for index in chosen]
    return Slices(
        [f"slice {number} of {depth}" for number in numbers],
        (steps[0] * spacing[up], steps[1] * spacing[right]),
        (("R", "L"), ("P", "A"))[right],
        of,
    )


def volume_slices(scan: Scan) -> Slices:
    """Slices of an array that may lie on disk; no more is read than their chunks."""
    spatial, spacing = list(scan.spatial), dict(zip(scan.spatial, scan.spacing, strict=True))
    shape = scan.voxels.shape
    across = max(spatial, key=lambda axis: (shape[axis] == 1, spacing[axis])) if len(spatial) > 2 else None
    down, right = [axis for axis in spatial if axis != across][-2:]
    chosen = [0] if across is None else spread(shape[across])
    steps = {axis: thin(shape[axis]) for axis in (down, right)}

    def of(voxels: Any) -> list[np.ndarray]:
        pictures = []
        for index in chosen:
            place: list[Any] = [0 if axis not in spacing else n // 2 for axis, n in enumerate(shape)]
            if across is not None:
                place[across] = index
            for axis, step in steps.items():
                place[axis] = slice(None, None, step)
            pictures.append(np.asarray(voxels[tuple(place)]))
        return pictures

    titles = [""] if across is None else [f"slice {index + 1} of {shape[across]}" for index in chosen]
    return Slices(titles, (steps[down] * spacing[down], steps[right] * spacing[right]), ("", ""), of)


def draw_slices(path: Path, title: str, slices: Slices, before: Any, after: Any, edges: bool) -> None:
    """Draw slices before and after. Edges have a scale of their own; else both share one, and so differ visibly."""
    from matplotlib.figure import Figure

    first, second = slices.of(before), [picture.astype(np.float32) for picture in slices.of(after)]
    shown = window(first, is_patient=any(slices.sides))
    unit = "HU" if shown == CT else "scan's units"
    scale = f"{unit}\nwindow {shown[1] - shown[0]:.4g}, level {(shown[0] + shown[1]) / 2:.4g}"
    rows: list[tuple[str, list[np.ndarray], tuple[float, float], str, str]] = [("before", first, shown, "gray", scale)]
    with np.errstate(invalid="ignore"):  # of infinities
        # Of what is shown: the corners that CT scanners fill with -3024 are as black as air.
        pairs = [(np.maximum(a, shown[0]), np.maximum(b, shown[0])) for a, b in zip(first, second, strict=True)]
        changes = second if edges else [b - a for a, b in pairs]
    # The strongest, but not those in air.
    inside = [np.abs(c[a > 0.9 * shown[0] + 0.1 * shown[1]]) for a, c in zip(first, changes, strict=True)]
    most = min(percentiles(inside, 99.5)[0] or 1.0, shown[1] - shown[0])
    if edges:
        rows.append(("edges", changes, (0.0, most), "magma", f"{unit} per mm"))
    else:
        rows.append(("after", second, shown, "gray", scale))
        rows.append(("after \N{MINUS SIGN} before", changes, (-most, most), "RdBu_r", unit))

    height, width = (n * mm for n, mm in zip(first[0].shape, slices.pixel, strict=True))
    tall = 2.4 * min(height / width, 2)  # inches
    figure = Figure((2.4 * len(first) + 1.6, len(rows) * (tall + 0.15) + 0.7), dpi=DPI, layout="constrained")
    figure.suptitle(textwrap.fill(title, 36 * len(first)), fontsize=12)
    grid = figure.subplots(len(rows), len(first), squeeze=False)
    for line, (name, pictures, (low, high), colours, label) in zip(grid, rows, strict=True):
        for axes, picture in zip(line, pictures, strict=True):
            image = axes.imshow(
                picture, cmap=colours, vmin=low, vmax=high, extent=(0, width, 0, height), interpolation="nearest"
            )
            axes.set(xticks=[], yticks=[], facecolor="steelblue")  # where voxels are missing
        line[0].set_ylabel(name, fontsize=11)
        figure.colorbar(image, ax=line, pad=0.01, aspect=14).set_label(label, fontsize=9)
    for axes, text in zip(grid[0], slices.titles, strict=True):
        axes.set_title(text, fontsize=10)
    annotate(grid[0][0], width, height, slices.sides)
    figure.savefig(path, format="png")


def annotate(axes: Any, width: float, height: float, sides: tuple[str, str]) -> None:
    """Mark a slice's sides, and a length of millimetres, in a colour with a dark rim that shows on anything."""
    from matplotlib.patheffects import withStroke

    rim = [withStroke(linewidth=3, foreground="black")]
    style = {"color": "gold", "fontsize": 9, "path_effects": rim}
    for place, text in zip((0.03, 0.97), sides, strict=True):
        axes.text(place, 0.5, text, transform=axes.transAxes, ha="left" if place < 0.5 else "right", **style)
    power = 10.0 ** np.floor(np.log10(width / 3))
    length = power * max(digit for digit in (1, 2, 5) if digit * power <= width / 3)
    ends = [0.05 * width, 0.05 * width + length]
    axes.plot(ends, [0.05 * height] * 2, color="black", linewidth=5, solid_capstyle="butt")
    axes.plot(ends, [0.05 * height] * 2, color="gold", linewidth=2.5, solid_capstyle="butt")
    axes.text(0.05 * width, 0.085 * height, metric(length), **style)


CT = (-1000.0, 500.0)  # Hounsfield units: air is -1000, water 0, bone above 400


def window(pictures: Sequence[np.ndarray], is_patient: bool) -> tuple[float, float]:
    """The values to draw from black to white: in CT air to bone, else all but the outermost percent."""
    lowest, low, high, highest = percentiles(pictures, 0, 1, 99, 100)
    if is_patient and -3100 <= lowest <= -1000 and CT[1] < highest < 32768:
        return CT
    return low, max(high, np.nextafter(low, np.inf))


def percentiles(pictures: Sequence[np.ndarray], *percents: float) -> list[float]:
    """Percentiles of the pixels that are finite; zeros where none is."""
    pixels = np.concatenate([picture[np.isfinite(picture)] for picture in pictures])
    return np.percentile(pixels, percents).tolist() if pixels.size else [0.0] * len(percents)


# Sound


@dataclass(frozen=True)
class Spectrogram:
    """Decibels (octaves, time) of a recording: rows from `lowest` to `highest` hertz in equal ratios."""

    title: str
    seconds: tuple[float, float]  # where the first column begins and the last one ends
    lowest: float
    highest: float
    decibels: np.ndarray


def by_octaves(power: np.ndarray, rate: int) -> tuple[np.ndarray, float, float]:
    """Mean power in bands of equal ratios, from that of bins (frequency, time) of equal widths, and the bands' ends."""
    hertz = np.linspace(0, rate / 2, len(power))
    lowest, highest = max(LOWEST, hertz[1]), float(hertz[-1])
    starts = np.searchsorted(hertz, np.geomspace(lowest, highest, BANDS, endpoint=False))
    widths = np.maximum(np.diff(starts, append=len(hertz)), 1)
    return np.add.reduceat(power, starts, axis=0) / widths[:, np.newaxis], lowest, highest


def draw_spectrograms(path: Path, before: Spectrogram, after: Spectrogram, marks: Sequence[float]) -> None:
    """Draw spectrograms one below the other on one scale, with lines at the frequencies `marks`."""
    from matplotlib.figure import Figure

    figure = Figure((10, 6), dpi=DPI, layout="constrained")
    loudest = max(before.decibels.max(), SILENCE)
    low, high = np.log10([before.lowest, before.highest])
    ticks = [hertz for hertz in (50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000) if low <= np.log10(hertz) <= high]
    both = figure.subplots(2, 1, sharex=True, sharey=True)
    for axes, sound in zip(both, (before, after), strict=True):
        image = axes.imshow(
            sound.decibels - loudest,
            vmin=FLOOR,
            vmax=0,
            cmap="magma",
            origin="lower",
            aspect="auto",
            interpolation="antialiased",
            extent=(*sound.seconds, low, high),
        )
        axes.set_facecolor("black")  # where the other lasts longer
        axes.set_yticks(np.log10(ticks), [f"{hertz:g}" if hertz < 1000 else f"{hertz // 1000}k" for hertz in ticks])
        axes.set_ylabel("frequency (Hz)")
        axes.set_title(sound.title, loc="left", fontsize=11)
        for hertz in marks:
            axes.axhline(np.log10(hertz), color="white", linewidth=0.8, linestyle="--")
    both[0].set(xlim=(0, max(before.seconds[1], after.seconds[1])), ylim=(low, high))
    both[1].set_xlabel("time (s)")
    figure.colorbar(image, ax=both, label="power (dB below the recording's loudest)", pad=0.01, extend="min")
    figure.savefig(path, format="png")


# Photographs


def draw_side_by_side(path: Path, pictures: Mapping[str, np.ndarray], most: int = 800) -> None:
    """Draw pictures from 0 to 1 under their titles, a pixel for each of theirs, or smaller: `most` pixels a side."""
    from matplotlib.figure import Figure

    rows, columns = next(iter(pictures.values())).shape[:2]
    scale = min(1.0, most / max(rows, columns))
    high, wide = max(1, round(scale * rows)), max(1, round(scale * columns))
    margin = 30
    figure = Figure((len(pictures) * wide / DPI, (high + margin) / DPI), dpi=DPI)
    for place, (title, picture) in enumerate(pictures.items()):
        axes = figure.add_axes((place / len(pictures), 0, 1 / len(pictures), high / (high + margin)))
        pixels = np.rint(255 * np.atleast_3d(picture).clip(0, 1)).astype(np.uint8)
        axes.imshow(
            np.broadcast_to(pixels, (rows, columns, 3)),
            interpolation="none" if scale == 1 else "antialiased",
            aspect="auto",
        )
        axes.set_axis_off()
        axes.set_title(title, fontsize=min(12, wide / 14))
    figure.savefig(path, format="png")
