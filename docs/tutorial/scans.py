# %% [markdown]
# # Scans
#
# A CT or MRI volume has three axes and a spacing along each of them. The chest CT of this page comes with the package
# `slicerio`.

# %%
from importlib import resources

import matplotlib.pyplot as plt
import nrrd
import numpy as np

from convnd import convnd, kernels, plan

scan, header = nrrd.read(str(resources.files("slicerio") / "data" / "CTChest4.nrrd"))
spacing = np.linalg.norm(header["space directions"], axis=1)
scan.shape, scan.dtype, spacing

# %% [markdown]
# ## The same smoothing along every axis
#
# The voxels are not cubes, so the Gaussian's sigma in voxels differs along each axis for one sigma of 3 mm.

# %%
smooth = convnd(scan, kernels.gaussian(tuple(3 / spacing)), padding="same", boundary="edge", dtype=np.float32)


def show(*volumes, vmin=-1000, vmax=400):
    """Draw the middle slice of volumes from the front."""
    _, axes = plt.subplots(1, len(volumes), figsize=(4.2 * len(volumes), 2.6), layout="constrained")
    for ax, volume in zip(np.atleast_1d(axes), volumes):
        ax.imshow(
            volume[:, volume.shape[1] // 2].T, cmap="gray", vmin=vmin, vmax=vmax, origin="lower",
            aspect=spacing[2] / spacing[0],
        )  # fmt: skip
        ax.set(xticks=[], yticks=[])


show(scan, smooth)

# %% [markdown]
# ## Missing voxels
#
# With `nan_policy="omit"` NaN counts as missing: each output is normalised by the weights of the voxels that its window
# has. Here a block is cut out.

# %%
holed = scan.astype(np.float32)
holed[50:70, 50:75] = np.nan
filled = convnd(holed, kernels.gaussian(tuple(6 / spacing)), padding="same", boundary="edge", nan_policy="omit")
show(holed, filled)

# %% [markdown]
# ## The same kernel for many scans
#
# A plan factors and packs the kernel once. Its print says what runs, and why.

# %%
smoother = plan(holed, kernels.gaussian(tuple(3 / spacing), dtype=np.float32), padding="same", boundary="edge")
print(smoother)
