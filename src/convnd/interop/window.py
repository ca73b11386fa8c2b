"""Which samples a box of outputs reads: what tiles, chunks and streams have in common, for those who cut themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..plan import Plan
from ..problem.arguments import parse
from ..problem.messages import shown
from ..problem.options import options_of
from .blocks import Block, block, stand_in
from .stores import dtype_of, is_readable


@dataclass(frozen=True)
class Window:
    """The samples that a box of outputs reads, and the convolution from there to the outputs.

    Made by `convnd.window`.

    Attributes
    ----------
    slices : tuple of tuple of slice
        What is read along each axis of ``x``.
    padding : tuple of (int, int)
        What is left to pad along each axis of ``x``.

    Examples
    --------
    >>> import numpy as np
    >>> import convnd
    >>> x = np.arange(100.0)
    >>> box = convnd.window(x, np.ones(5), np.s_[90:], padding="same", boundary="edge")
    >>> box.slices, box.padding
    (((slice(88, 100, None),),), ((0, 2),))
    >>> box(box.read(x)).tolist() == convnd.convnd(x, np.ones(5), padding="same", boundary="edge")[90:].tolist()
    True
    """

    _block: Block

    @property
    def slices(self) -> tuple[tuple[slice, ...], ...]:
        """Along each axis of ``x`` the slices that are read, in order: one, or one at each end under "wrap"."""
        return tuple(own.slices for own in self._block.lines)

    @property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """Along each axis of ``x`` what is left to pad before and after; below 0 where samples have no part."""
        return tuple((own.axis.before, own.axis.after) for own in self._block.lines)

    def read(self, x: Any) -> np.ndarray:
        """Return the samples, from ``x`` or whatever gives the same slices of it."""
        return self._block.read(x)

    def __call__(self, samples: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return the outputs of the samples that `read` returned: those of the whole array."""
        return Plan(self._block.of(samples))(samples, out)


def window(x: Any, kernel: Any, outputs: Any, **options: Any) -> Window:
    """Return what a box of outputs of ``convnd(x, kernel, ...)`` reads.

    Parameters
    ----------
    x : array_like
        The array, or whatever has its ``shape`` and ``dtype``. Its samples are not read.
    kernel : array_like
        The weights.
    outputs : slice or tuple of slice
        The box, as an index of the result: slices of step 1, the channel axis whole.
    **options
        Those of `convnd`.

    Returns
    -------
    Window
        Its ``slices`` of ``x``, its ``padding``, and the convolution from there to the outputs.

    Raises
    ------
    TypeError, ValueError
        As in `convnd`, and where `outputs` is no such box.

    Examples
    --------
    >>> import numpy as np
    >>> from convnd import convnd, window
    >>> x, kernel = np.arange(100.0), np.ones(5)
    >>> own = window(x, kernel, np.s_[40:50], padding="same", stride=2)
    >>> own.slices, own.padding
    (((slice(78, 100, None),),), ((0, 1),))
    >>> own(own.read(x))
    array([400., 410., 420., 430., 440., 450., 460., 470., 480., 390.])
    """
    if not is_readable(x):
        x = np.asarray(x)
    request = parse(stand_in(x.shape, dtype_of(x)), kernel, None, options_of(options))
    shape, given = request.out_shape, outputs if isinstance(outputs, tuple) else (outputs,)
    if len(given) > len(shape):
        raise ValueError(f"outputs has {len(given)} entries but the result has {len(shape)} axes {shape}")
    box = []
    for a, length in enumerate(shape):
        own = given[a] if a < len(given) else slice(None)
        if not isinstance(own, slice):
            raise TypeError(f"outputs must be slices, but is {shown(own)} along axis {a}")
        first, end, step = own.indices(length)
        if step != 1 or first >= end:
            raise ValueError(
                f"outputs must be neighbours, one at least, but is {own} along axis {a} of length {length}"
            )
        if request.is_bank and a == request.channel_axis and (first, end) != (0, length):
            raise ValueError(f"outputs must hold all {length} channels along axis {a}, but is {own}")
        box.append((first, end))
    return Window(block(request, box))
