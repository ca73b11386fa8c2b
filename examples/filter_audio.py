"""Filter a recording, or place it in a room by the room's impulse response.

The filters are windowed-sinc (FIR) filters: symmetric and of odd length, so that every frequency is delayed
alike, and "same" padding takes that delay away again. Each channel is a batch item, filtered by the same taps.

The recording passes through block by block, so one of hours takes no more memory than one of seconds.
"""

import argparse
import functools
import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from scipy import signal

from _common import (
    Clock,
    Parser,
    Refusal,
    add_common,
    add_plot,
    check_outputs,
    compared,
    count,
    plot_path,
    positive,
    progress,
    reading,
    run,
    summarise,
    writing,
)  # fmt: skip
from _plots import Spectrogram, by_octaves, draw_spectrograms
from convnd import Stream

DEFAULT_RECORDING = Path(__file__).parent / "data" / "guitar.flac"
DEFAULT_TAPS, DEFAULT_LOWPASS = 1023, 800.0
BLOCK = 2**16  # frames that are read at once
WINDOW, COLUMNS = 4096, 900  # of a spectrogram: frames, and how many of them at most
PCM_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}

EPILOG = """
input
  What libsndfile reads: WAV, FLAC, OGG, AIFF, ... of any sample rate and number of channels.

work
  --lowpass HZ      Keeps what lies below HZ: rumble, voice, bass (default: 800). --highpass HZ keeps what lies above.
  --bandpass LO HI  Keeps what lies between: 300 3400 is a telephone.
  --taps N          Weights of the filter. Its passband gives way to its stopband over about 3.3 * RATE / N Hz, with the
                    cutoff in the middle: 142 Hz for 1023 taps at 44.1 kHz. Attenuation is more than 50 dB beyond.
  --impulse IR.wav  Convolves with the recording of a clap in a room (an "impulse response"): as if played there.

output
  The input's sample rate and channels, its file type by its name, and the input's sample type where that holds it. A
  filter keeps the length; a reverb adds its tail and is divided by its peak where that passes 1. Beside it the
  spectrograms of both, the mean of the channels, on one scale of decibels. Times, rate and memory are printed.

examples:
  filter_audio.py                                        the guitar, below 800 Hz
  filter_audio.py speech.wav -o phone.wav --bandpass 300 3400
  filter_audio.py hum.flac --highpass 120 --taps 8191 --no-plot
  filter_audio.py dry.wav -o wet.wav --impulse hall.wav
"""


@dataclass(frozen=True)
class Recording:
    """A file of sound and what it says of itself."""

    path: Path
    rate: int
    channels: int
    frames: int
    format: str
    subtype: str

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """Yield samples (frames, channels) in -1..1, in float64 so that 32-bit samples pass unharmed."""
        found = 0
        with opened(self.path) as sound:
            while found < self.frames:
                with reading(self.path):
                    samples = sound.read(frames, dtype="float64", always_2d=True)
                if len(samples) == 0:
                    raise Refusal(f"cannot read {self.path}: the file is cut short")
                if not np.isfinite(samples).all():
                    raise Refusal(f"cannot process {self.path}: it holds NaN or infinite samples")
                found += len(samples)
                yield samples


@contextmanager
def opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open any file that libsndfile reads."""
    with ExitStack() as stack:
        with reading(path):
            file = stack.enter_context(path.open("rb"))
            sound = stack.enter_context(soundfile.SoundFile(file))
        yield sound


def recording_of(path: Path) -> Recording:
    """What a file says of itself; its samples are read later."""
    with opened(path) as sound:
        about = Recording(path, sound.samplerate, sound.channels, sound.frames, sound.format, sound.subtype)
        if cut_short(sound.extra_info):
            raise Refusal(f"cannot read {path}: the file is cut short")
    if about.frames == 0:
        raise Refusal(f"cannot process {path}: it holds no samples")
    return about


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


def room_stream(room: np.ndarray, channels: int) -> Stream:
    """Convolve each channel with its own impulse response, or with the only one; the tail is kept."""
    if room.shape[1] == 1:
        return Stream(room[:, 0], axes=0, padding="full")
    # One filter per channel: as many groups as channels, and a kernel (taps, 1, channels).
    return Stream(room[:, np.newaxis, :], channel_axis=1, groups=channels, padding="full")


def read_impulse(path: Path, recording: Recording) -> np.ndarray:
    """Read the impulse response of a room and check that it fits the recording."""
    room = recording_of(path)
    if room.rate != recording.rate:
        raise Refusal(f"--impulse must have the recording's sample rate, {recording.rate} Hz, but has {room.rate} Hz")
    if room.channels not in (1, recording.channels):
        raise Refusal(f"--impulse must have 1 channel or the recording's {recording.channels}, but has {room.channels}")
    return np.concatenate(list(room.blocks(BLOCK)))


def convolved(blocks: Iterable[np.ndarray], stream: Stream, clock: Clock) -> Iterator[np.ndarray]:
    """Yield samples as they come out of a stream: no more of them are in memory than a block and the taps."""
    for samples in blocks:
        with clock("convolve"):
            out = stream.feed(samples)
        yield out
    with clock("convolve"):
        out = stream.flush()
    yield out


def format_of(path: Path) -> str:
    """The file type that a name stands for, as libsndfile calls it."""
    suffix = path.suffix[1:].upper()
    return {"AIF": "AIFF", "OGA": "OGG", "OPUS": "OGG"}.get(suffix, suffix)


class Peak:
    """The largest magnitude of samples that pass."""

    def __init__(self) -> None:
        self.value, self.frames = 0.0, 0

    def of(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the blocks as they are."""
        for samples in blocks:
            self.value = max(self.value, np.abs(samples).max(initial=0.0))
            self.frames += len(samples)
            yield samples


def write_recording(path: Path, blocks: Iterable[np.ndarray], like: Recording, clock: Clock) -> None:
    """Write samples in the file type of the name; whole-number samples are rounded here, as libsndfile cuts some."""
    form = format_of(path)
    fits = soundfile.check_format(form, like.subtype)
    subtype = like.subtype if fits else soundfile.default_subtype(form)
    bits = PCM_BITS.get(subtype)
    with soundfile.SoundFile(path, "w", like.rate, like.channels, subtype, format=form) as sound:
        for samples in blocks:
            with clock("write"):
                if bits:
                    steps = 2.0 ** (bits - 1)
                    whole = np.rint(samples * steps).clip(-steps, steps - 1).astype(np.int32)
                    samples = whole << (32 - bits)
                sound.write(samples)


def spectrogram(path: Path, title: str) -> Spectrogram:
    """Power of the mean of a file's channels, in as many windows as are seen, each of them whole."""
    with opened(path) as sound, reading(path):
        window, powers = min(WINDOW, sound.frames), []
        step = max(window // 4, sound.frames // COLUMNS, 1)
        firsts = range(0, sound.frames - window + 1, step)
        for first in firsts:
            sound.seek(first)
            samples = sound.read(window, always_2d=True).mean(axis=1) * np.hanning(window)
            powers.append(np.abs(np.fft.rfft(samples, WINDOW)) ** 2)
        power, lowest, highest = by_octaves(np.transpose(powers), sound.samplerate)
        middles = np.array([firsts[0] - step / 2, firsts[-1] + step / 2]) + window / 2  # of columns that are step wide
        start, end = middles / sound.samplerate
        return Spectrogram(title, (start, end), lowest, highest, 10 * np.log10(power + 1e-20))


def process(options: argparse.Namespace) -> None:
    """Read, filter or reverberate and write, block by block; draw."""
    path, clock = options.input, Clock()
    done = next((name for name in ("highpass", "bandpass", "impulse") if getattr(options, name)), "lowpass")
    with clock("read"):
        recording = recording_of(path)
    output = options.output or Path(f"{path.stem}_{done}{path.suffix}")
    if format_of(output) not in soundfile.available_formats():
        raise Refusal(f"cannot write {output}: its name must end in .wav, .flac, .ogg or another type of libsndfile")
    outputs = check_outputs(options, path, output, [output.suffix.lower()], plot_path(options, output))
    before, after, loudest = Peak(), Peak(), Peak()
    if options.impulse:
        room = read_impulse(options.impulse, recording)
        weights, taps = room, len(room)
        make, cutoffs = functools.partial(room_stream, room, recording.channels), list[float]()
        title = f"in the room of {options.impulse.name}, {taps / recording.rate:.2f} s"
    else:
        cutoffs = getattr(options, done) or [DEFAULT_LOWPASS]
        weights = design_filter(done, cutoffs, options.taps, recording.rate)
        make, taps = functools.partial(Stream, weights, axes=0, padding="same"), len(weights)
        title = f"{done} {' to '.join(f'{hertz:g}' for hertz in cutoffs)} Hz, {taps} taps"

    block = max(BLOCK, taps)
    with clock("first call"):
        for _ in convolved(itertools.islice(recording.blocks(block), 8), make(), Clock()):
            pass
    with writing(*outputs) as drafts:
        if options.impulse:  # what it is to be divided by is known at the end
            for _ in loudest.of(
                convolved(watched(recording.blocks(block), "measure", recording, clock), make(), clock)
            ):
                pass
        scale = 1 / max(1.0, loudest.value)
        samples = before.of(watched(recording.blocks(block), done, recording, clock))
        write_recording(drafts[0], after.of(scale * s for s in convolved(samples, make(), clock)), recording, clock)
        if len(drafts) > 1:
            with clock("draw"):
                pictures = spectrogram(path, path.name), spectrogram(drafts[0], title)
                draw_spectrograms(drafts[1], *pictures, cutoffs)

    summary = {
        "recording": path,
        "sound": f"{recording.rate} Hz, {recording.channels} channels, {recording.format} {recording.subtype}",
        "before": f"{recording.frames / recording.rate:.2f} s, peak {before.value:.3f}",
        "after": f"{after.frames / recording.rate:.2f} s, peak {after.value:.3f}",
    }
    convolutions = 2 if options.impulse else 1
    if options.compare:
        sound = np.concatenate(list(recording.blocks(block)))
        weights = weights.reshape(taps, -1)
        summary |= compared(
            clock, "scipy.signal.oaconvolve", lambda: [signal.oaconvolve(sound, weights, axes=0)] * convolutions
        )
    summarise(summary, clock, outputs, convolutions * recording.frames * recording.channels, "samples")


def watched(blocks: Iterator[np.ndarray], what: str, recording: Recording, clock: Clock) -> Iterator[np.ndarray]:
    """Yield the blocks as they are read, and show how far it is."""
    with progress(what, recording.frames, "frame") as bar:
        while True:
            with clock("read"):
                samples = next(blocks, None)
            if samples is None:
                return
            yield samples
            bar.update(len(samples))


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
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--lowpass", type=positive, nargs=1, metavar="HZ", help="keep what lies below HZ (default: 800)")
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
        help="length of the filter in samples, odd; longer is steeper; not used by --impulse (default: %(default)s)",
    )
    add_common(parser)
    add_plot(parser, "the spectrograms before and after")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 2 after one line on stderr."""
    return run(process, build_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
