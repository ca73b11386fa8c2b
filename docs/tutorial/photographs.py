# %% [markdown]
# # Photographs
#
# A photograph is an array `(rows, columns, colours)` of `uint8`. `axes=(0, 1)` says which two axes are convolved.

# %%
import matplotlib.pyplot as plt
import numpy as np
from skimage import data

from convnd import convnd, kernels

photo = data.astronaut()


def show(**pictures):
    """Draw pictures side by side."""
    _, axes = plt.subplots(1, len(pictures), figsize=(3 * len(pictures), 3.2), layout="constrained")
    for ax, (title, picture) in zip(axes, pictures.items()):
        ax.imshow(picture, cmap="gray")
        ax.set(title=title.replace("_", " "), xticks=[], yticks=[])


photo.shape, photo.dtype

# %% [markdown]
# ## Blur and sharpen
#
# `dtype=np.uint8` rounds the result and saturates it: nothing wraps around.

# %%
options = {"axes": (0, 1), "padding": "same", "boundary": "reflect", "dtype": np.uint8}
show(
    photo=photo,
    gaussian=convnd(photo, kernels.gaussian((3, 3)), **options),
    unsharp_mask=convnd(photo, kernels.unsharp_mask((2, 2), amount=1.5), **options),
    motion=convnd(photo, kernels.motion_blur(25, 30), **options),
)

# %% [markdown]
# ## Edges
#
# A derivative has results of both signs, so it needs a signed or a floating type. Whole numbers are summed exactly.

# %%
grey = photo.mean(axis=2).astype(np.float32)
down = convnd(grey, kernels.sobel(axis=0, ndim=2), padding="same", boundary="edge")
across = convnd(grey, kernels.sobel(axis=1, ndim=2), padding="same", boundary="edge")
show(down=down, across=across, magnitude=np.hypot(down, across))

# %% [markdown]
# ## A bank of filters
#
# With `channel_axis` the channels are summed and a kernel with one axis more is a bank: here 3 colours in, 4 features out.

# %%
bank = np.random.default_rng(1).normal(size=(7, 7, 3, 4)).astype(np.float32)
features = convnd(photo.astype(np.float32), bank, channel_axis=-1, stride=2, padding=3)
features.shape
