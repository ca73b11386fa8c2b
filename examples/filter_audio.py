"""Filter a recording, or place it in a room by the room's impulse response.

The filters are windowed-sinc (FIR) filters: symmetric and of odd length, so that every frequency is delayed
alike, and "same" padding takes that delay away again. Each channel is a batch item, filtered by the same taps.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from scipy import signal

from _common import Parser, Refusal, check_outputs, count, positive, reading, run, writing
from convnd import convnd

DEFAULT_RECORDING = Path(__file__).parent / "data" / "guitar.flac"
DEFAULT_TAPS = 1023
PCM_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}

EPILOG = """
The output has the input's sample rate, channels, sample type and file type, so its name must have the
input's suffix. A filter keeps the length; a reverb adds its tail and is divided by its peak where that
passes 1.

A filter's transition is about 3.3 * RATE / TAPS wide: 142 Hz for 1023 taps at 44.1 kHz.

examples:
  filter_audio.py --lowpass 800 --plot guitar.png
  filter_audio.py speech.wav -o phone.wav --bandpass 300 3400
  filter_audio.py dry.wav -o wet.wav --impulse hall.wav
"""


@dataclass(frozen=True)
class Recording:
    """Samples of shape (frames, channels) in -1..1 and what their file says of them."""

    samples: np.ndarray
    rate: int
    format: str
    subtype: str


def read_recording(path: Path) -> Recording:
    """Read any file that libsndfile reads, in float64, so that 32-bit samples pass unharmed."""
    with reading(path), path.open("rb") as file, soundfile.SoundFile(file) as sound:
        samples = sound.read(dtype="float64", always_2d=True)
        recording = Recording(samples, sound.samplerate, sound.format, sound.subtype)
        if len(samples) < sound.frames or cut_short(sound.extra_info):
            raise Refusal(f"cannot read {path}: the file is cut short")
    if samples.size == 0:
        raise Refusal(f"cannot process {path}: it holds no samples")
    if not np.isfinite(samples).all():
        raise Refusal(f"cannot process {path}: it holds NaN or infinite samples")
    return recording


def cut_short(log: str) -> bool:
    """Whether libsndfile found fewer bytes of sound than the header says; it reads the rest without complaint."""
    found = re.search(r"^ *(?:data|SSND) : (\d+) \(should be (\d+)\)", log, re.MULTILINE)
    return found is not None and int(found[2]) < int(found[1]) < 0x7FFFF000  # above: a stream of unknown length


def design_filter(kind: str, cutoffs: Sequence[float], length: int, rate: int) -> np.ndarray:
    """The taps of a "lowpass", "highpass" or "bandpass" filter, checked against the sample rate."""
    given = " ".join(f"{hertz:g}" for hertz in cutoffs)
    if max(cutoffs) >= rate / 2:
        raise Refusal(f"--{kind} must lie below half the sample rate, {rate / 2:g} Hz, but is {given}")
    if sorted(set(cutoffs)) != list(cutoffs):
        raise Refusal(f"--{kind} must rise from LO to HI, but is {given}")
    if length % 2 == 0:
        raise Refusal(f"--taps must be odd, so that the filter has a middle, but is {length}")
    return signal.firwin(length, cutoffs, pass_zero=kind, fs=rate)


def reverberate(samples: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Convolve each channel with its own impulse response, or with the only one; the tail is kept."""
    channels = samples.shape[1]
    if room.shape[1] == 1:
        wet = convnd(samples, room[:, 0], axes=0, padding="full")
    else:  # one filter per channel: as many groups as channels, and a kernel (taps, 1, channels)
        wet = convnd(samples, room[:, np.newaxis, :], channel_axis=1, groups=channels, padding="full")
    return wet / max(1.0, np.abs(wet).max())


def read_impulse(path: Path, recording: Recording) -> np.ndarray:
    """Read the impulse response of a room and check that it fits the recording."""
    room = read_recording(path)
    channels = recording.samples.shape[1]
    if room.rate != recording.rate:
        raise Refusal(f"--impulse must have the recording's sample rate, {recording.rate} Hz, but has {room.rate} Hz")
    if room.samples.shape[1] not in (1, channels):
        raise Refusal(f"--impulse must have 1 channel or the recording's {channels}, but has {room.samples.shape[1]}")
    return room.samples


def write_recording(path: Path, recording: Recording) -> None:
    """Write the samples in their own file type; whole-number samples are rounded here, as libsndfile cuts some."""
    samples = recording.samples
    bits = PCM_BITS.get(recording.subtype)
    if bits:
        steps = 2.0 ** (bits - 1)
        whole = np.rint(samples * steps).clip(-steps, steps - 1).astype(np.int32)
        samples = whole << (32 - bits)
    soundfile.write(path, samples, recording.rate, format=recording.format, subtype=recording.subtype)


def plot_spectrograms(path: Path, before: Recording, after: Recording, title: str) -> None:
    """Draw the spectrograms of the mean of the channels, on one scale of decibels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    both = figure.subplots(2, 1, sharex=True, sharey=True)
    loudest = None
    for axes, recording, name in zip(both, (before, after), ("recording", title), strict=True):
        mono = recording.samples.mean(axis=1)
        length = min(2048, len(mono))
        hertz, seconds, power = signal.spectrogram(mono, recording.rate, "hann", length, length * 3 // 4)
        decibels = 10 * np.log10(power + 1e-20)
        loudest = decibels.max() if loudest is None else loudest
        image = axes.pcolormesh(
            seconds, hertz / 1000, decibels - loudest, vmin=-100, vmax=0, cmap="magma", rasterized=True
        )
        axes.set(title=name, ylabel="kHz")
    both[1].set_xlabel("seconds")
    figure.colorbar(image, ax=both, label="dB below the recording's loudest", pad=0.01)
    figure.savefig(path, dpi=100)


def process(options: argparse.Namespace) -> None:
    """Read, filter or reverberate, write."""
    path = options.input
    done = next(name for name in ("lowpass", "highpass", "bandpass", "impulse") if getattr(options, name))
    before = read_recording(path)
    output = options.output or Path(f"{path.stem}_{done}{path.suffix}")
    outputs = check_outputs(output, [path.suffix.lower()], options.plot)

    if options.impulse:
        room = read_impulse(options.impulse, before)
        start = time.perf_counter()
        samples = reverberate(before.samples, room)
    else:
        taps = design_filter(done, getattr(options, done), options.taps, before.rate)
        start = time.perf_counter()
        samples = convnd(before.samples, taps, axes=0, padding="same")  # axis 1, the channels, is a batch axis
    seconds = time.perf_counter() - start
    after = Recording(samples, before.rate, before.format, before.subtype)

    with writing(*outputs) as drafts:
        write_recording(drafts[0], after)
        if options.plot:
            plot_spectrograms(drafts[1], before, after, done)

    print(f"recording {path}")
    print(f"sound     {before.rate} Hz, {before.samples.shape[1]} channels, {before.format} {before.subtype}")
    print(f"before    {len(before.samples) / before.rate:.2f} s, peak {np.abs(before.samples).max():.3f}")
    print(f"after     {len(samples) / before.rate:.2f} s, peak {np.abs(samples).max():.3f}")
    print(f"time      {seconds:.2f} s (the first run on a machine compiles)")
    print(f"wrote     {', '.join(map(str, outputs))}")


def build_parser() -> Parser:
    """The options and what they mean."""
    parser = Parser(prog="filter_audio.py", description=__doc__, epilog=EPILOG)
    add = parser.add_argument
    add(
        "input",
        nargs="?",
        type=Path,
        default=DEFAULT_RECORDING,
        metavar="IN",
        help="WAV, FLAC, OGG, AIFF, ... (default: the guitar in examples/data)",
    )
    add(
        "-o",
        dest="output",
        type=Path,
        metavar="OUT",
        help="the file to write (default: IN's name with _lowpass, ... in this folder)",
    )
    one = parser.add_mutually_exclusive_group(required=True)
    one.add_argument("--lowpass", type=positive, nargs=1, metavar="HZ", help="keep what lies below HZ")
    one.add_argument("--highpass", type=positive, nargs=1, metavar="HZ", help="keep what lies above HZ")
    one.add_argument("--bandpass", type=positive, nargs=2, metavar=("LO", "HI"), help="keep what lies from LO to HI")
    one.add_argument(
        "--impulse",
        type=Path,
        metavar="IR.wav",
        help="the impulse response of a room: one channel for all of IN's, or one for each",
    )
    add(
        "--taps",
        type=count,
        default=DEFAULT_TAPS,
        metavar="N",
        help="length of the filter, odd; longer is steeper; not used by --impulse (default: %(default)s)",
    )
    add("--plot", type=Path, metavar="PNG", help="draw the spectrograms before and after (default: no plot)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 2 after one line on stderr."""
    return run(process, build_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
