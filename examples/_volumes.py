"""Scans in zarr, too large for memory: OME-Zarr images, and plain arrays whose spacing the user gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from _common import Refusal, reading

MILLIMETRES = {"nanometer": 1e-6, "micrometer": 1e-3, "millimeter": 1.0, "centimeter": 10.0, "meter": 1000.0}


@dataclass(frozen=True)
class Volume:
    """An array on disk, the axes of it that lie in space, and the millimetres between voxels along those."""

    voxels: zarr.Array
    spatial: tuple[int, ...]
    spacing: tuple[float, ...]
    image: dict[str, Any] | None  # OME's description of the array; None for a plain one


def is_zarr(path: Path) -> bool:
    """Whether a path leads to what zarr keeps."""
    return any((path / name).exists() for name in ("zarr.json", ".zarray", ".zgroup"))


def open_volume(path: Path, spacing: Sequence[float] | None) -> Volume:
    """Open an array, or the largest of an image's; its voxels are not read."""
    with reading(path):
        kept = zarr.open(path, mode="r")
    if isinstance(kept, zarr.Array):
        voxels, image = kept, None
        if spacing is None:
            raise Refusal(f"cannot process {path}: --spacing must say how many millimetres its voxels lie apart")
        spatial = tuple(range(voxels.ndim - len(spacing), voxels.ndim))
        if min(spatial) < 0:
            raise Refusal(f"--spacing has {len(spacing)} entries but {path} has {voxels.ndim} axes {voxels.shape}")
    else:
        try:
            about = dict(kept.attrs)
            image = about.get("ome", about)["multiscales"][0]
            largest = image["datasets"][0]
            voxels = kept[largest["path"]]
            (scale,) = (step["scale"] for step in largest["coordinateTransformations"] if step["type"] == "scale")
            spatial = tuple(a for a, axis in enumerate(image["axes"]) if axis["type"] == "space")
            own = tuple(MILLIMETRES[image["axes"][a].get("unit", "millimeter")] * scale[a] for a in spatial)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise Refusal(f"cannot process {path}: it is not an OME-Zarr image: {error!r}") from error
        spacing = spacing or own
        if len(spacing) != len(spatial):
            raise Refusal(f"--spacing has {len(spacing)} entries but {path} has {len(spatial)} axes in space")
    if voxels.dtype.kind not in "biuf" or voxels.size == 0:
        raise Refusal(f"cannot process {path}: its voxels are {voxels.dtype} {voxels.shape}, not real numbers")
    return Volume(voxels, spatial, tuple(spacing), image)


def open_result(path: Path, volume: Volume) -> zarr.Array:
    """Make the array of a result, like the volume's, or open the one that an interrupted run has left."""
    voxels = volume.voxels
    name = "" if volume.image is None else "0"
    if path.exists():
        if not list(path.parent.glob(f"{path.name}*.convnd")):
            raise Refusal(f"cannot write {path}: it is there already")
        return zarr.open_array(path / name, mode="r+")
    about: dict[str, Any] = {
        "shape": voxels.shape, "chunks": voxels.chunks, "shards": voxels.shards, "dtype": np.float32,
        "dimension_names": voxels.metadata.dimension_names if voxels.metadata.zarr_format == 3 else None,
    }  # fmt: skip
    if volume.image is None:
        return zarr.create_array(path, **about)
    largest = {**volume.image["datasets"][0], "path": name}
    image = {**volume.image, "datasets": [largest]}
    group = zarr.create_group(path, attributes={"ome": {"version": "0.5", "multiscales": [image]}})
    return group.create_array(name, **about)
