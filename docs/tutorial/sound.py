# %% [markdown]
# # Sound
#
# A recording is an array `(samples,)`, or `(channels, samples)` in stereo. Here are two seconds of a decaying chord with
# noise, made from NumPy alone.

# %%
import matplotlib.pyplot as plt
import numpy as np

from convnd import Stream, convnd

rate = 16_000
seconds = np.arange(2 * rate) / rate
rng = np.random.default_rng(0)
chord = sum(np.sin(2 * np.pi * hertz * seconds) for hertz in (220, 277.2, 329.6)) * np.exp(-2 * seconds)
left = chord + 0.3 * rng.normal(size=chord.size)
right = 0.7 * chord + 0.3 * rng.normal(size=chord.size)
sound = np.stack([left, right]).astype(np.float32)
sound.shape

# %% [markdown]
# ## A low-pass filter
#
# A windowed sinc passes what is below 600 Hz. Convolution runs along the last axis, `axes=-1`; the two channels are a
# batch. `padding="same"` keeps the length.

# %%
taps = 301
time = np.arange(taps) - taps // 2
lowpass = np.sinc(2 * 600 / rate * time) * np.hamming(taps)
lowpass = (lowpass / lowpass.sum()).astype(np.float32)
quiet = convnd(sound, lowpass, axes=-1, padding="same")

_, axes = plt.subplots(1, 2, figsize=(9, 2.8), sharey=True, layout="constrained")
for ax, signal, title in zip(axes, (sound, quiet), ("before", "after")):
    ax.specgram(signal[0], NFFT=512, Fs=rate, noverlap=384, vmin=-120, vmax=-20)
    ax.set(title=title, xlabel="time (s)", ylim=(0, 4000))
axes[0].set_ylabel("frequency (Hz)")
# %% [markdown]
# ## Another rate
#
# `upsample=3` puts two zeros between neighbouring samples and `stride=2` takes every second result, so that 16 kHz become
# 24 kHz. No zero is multiplied and no result is computed that is not kept. The kernel is a low-pass on the common rate.

# %%
steps = np.arange(-60, 61) / 3
resampled = convnd(sound, np.sinc(steps) * np.hanning(121), axes=-1, upsample=3, stride=2, padding="same")
sound.shape, resampled.shape

# %% [markdown]
# ## As it comes
#
# A `Stream` takes blocks of any length and gives the results that are complete. They are those of the whole recording.

# %%
stream = Stream(lowpass, axis=-1, axes=-1, padding="same", method="direct")
blocks = [stream.feed(sound[:, start : start + 1000]) for start in range(0, sound.shape[1], 1000)]
streamed = np.concatenate([*blocks, stream.flush()], axis=-1)
assert np.array_equal(streamed, convnd(sound, lowpass, axes=-1, padding="same", method="direct"))
