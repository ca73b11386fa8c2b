"""Draw the README's three pictures: `python docs/pictures.py`, in the repository's root.

Sound, photograph and scan are smoothed by the same call; only the data and the Gaussian's sigma along each axis differ.
"""

import io
from importlib import resources
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import soundfile
from matplotlib.figure import Figure
from PIL import Image
from scipy import signal

from convnd import convnd, kernels

ROOT = Path(__file__).parents[1]
DPI = 100


def save(figure: Figure, name: str, colours: int = 0) -> None:
    """Write a picture, in a palette of so many colours where that is enough for it."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    picture = Image.open(drawn).convert("RGB")
    if colours:
        picture = picture.quantize(colours, dither=Image.Dither.NONE)
    picture.save(ROOT / "docs" / name, optimize=True)


def draw_sound(before: np.ndarray, after: np.ndarray, rate: int) -> None:
    """Spectrograms of the first channel, on one scale of decibels."""
    figure = Figure((7.2, 2.6), layout="constrained")
    both = figure.subplots(1, 2, sharex=True, sharey=True)
    loudest = None
    for axes, sound, title in zip(both, (before, after), ("before", "after"), strict=True):
        hertz, seconds, power = signal.spectrogram(sound[0], rate, nperseg=2048, noverlap=1024)
        loudest = loudest or power.max()
        decibels = 10 * np.log10(power[hertz <= 8000] / loudest + 1e-12)
        image = axes.imshow(
            decibels, vmin=-80, vmax=0, cmap="magma", origin="lower", aspect="auto", extent=(0, seconds[-1], 0, 8)
        )
        axes.set(title=title, xlabel="time (s)")
    both[0].set_ylabel("frequency (kHz)")
    figure.colorbar(image, ax=both, label="power (dB)", pad=0.01)
    save(figure, "sound.png", 128)


def draw_photo(before: np.ndarray, after: np.ndarray) -> None:
    """The photograph, at half its size."""
    figure = Figure((7.2, 2.6), layout="constrained")
    draw_images(figure, (before, after), aspect=1)
    save(figure, "photo.png")


def draw_scan(before: np.ndarray, after: np.ndarray, spacing: np.ndarray) -> None:
    """A slice seen from the front, the patient's right at the left; its pixels are taller than wide."""
    figure = Figure((7.2, 2.8), layout="constrained")
    slices = [voxels[::-1, 62, ::-1].T for voxels in (before, after)]
    image = draw_images(figure, slices, aspect=spacing[2] / spacing[0], vmin=-1000, vmax=500, cmap="gray")
    figure.colorbar(image, ax=figure.axes, label="HU (window 1500, level \N{MINUS SIGN}250)", pad=0.01)
    save(figure, "scan.png", 256)


def draw_images(figure: Figure, pair: Any, **options: Any) -> Any:
    """Two images under "before" and "after"."""
    for axes, image, title in zip(figure.subplots(1, 2), pair, ("before", "after"), strict=True):
        drawn = axes.imshow(image, interpolation="antialiased", **options)
        axes.set(title=title, xticks=[], yticks=[])
    return drawn


def main() -> None:
    """Smooth and draw."""
    sound, rate = soundfile.read(ROOT / "examples" / "data" / "guitar.flac", dtype="float32")
    sound = sound.T  # (channels, samples)
    photo = np.asarray(Image.open(str(resources.files("skimage") / "data" / "coffee.png")))
    scan, header = nrrd.read(str(resources.files("slicerio") / "data" / "CTChest4.nrrd"))
    spacing = np.linalg.norm(header["space directions"], axis=1)  # 3 x 3 x 10 mm

    quiet = convnd(sound, kernels.gaussian((20,)), axes=-1, padding="same", boundary="edge")
    soft = convnd(photo, kernels.gaussian((4, 4)), axes=(0, 1), padding="same", boundary="edge", dtype=np.uint8)
    smooth = convnd(scan, kernels.gaussian(tuple(6 / spacing)), padding="same", boundary="edge", dtype=np.float32)

    draw_sound(sound, quiet, rate)
    draw_photo(photo, soft)
    draw_scan(scan, smooth, spacing)


if __name__ == "__main__":
    main()
