"""Windows: which samples a box of outputs reads, for users who cut arrays themselves."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..methods.blocks import Block, block, stand_in
from ..plan import Plan
from ..problem.arguments.calls import explained
from ..problem.arguments.messages import shown
from ..problem.arguments.parse import as_array, check_x, parse
from ..problem.options import Options, without_mask
from .storage import dtype_of, is_readable


@dataclass(frozen=True)
class Window:
    """The samples that a box of outputs reads, and the convolution from there to the outputs.

    Made by `convnd.window`.

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
        """What is read along each axis of ``x``: one slice, or two under "wrap", whose samples are joined in order."""
        return tuple(line.slices for line in self._block.lines)

    @property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """What is left to pad before and after along each axis of ``x``; below 0 where samples have no part."""
        return tuple((line.axis.before, line.axis.after) for line in self._block.lines)

    def read(self, x: Any) -> np.ndarray:
        """Read the samples.

        Parameters
        ----------
        x : array_like
            The array, or whatever gives the same slices of it.

        Returns
        -------
        ndarray
            The samples that `slices` say.

        Raises
        ------
        TypeError, ValueError
            As ``x[...]`` does.

        Examples
        --------
        >>> window(range(9), [1, 1], slice(3, 5)).read(np.arange(9) ** 2)
        array([ 9, 16, 25])
        """
        return self._block.read(x)

    def __call__(self, samples: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Convolve the samples.

        Parameters
        ----------
        samples : ndarray
            What `read` returned.
        out : ndarray, optional
            Where the outputs go.

        Returns
        -------
        ndarray
            The outputs of the box, the same as those of all of ``x``.

        Raises
        ------
        TypeError, ValueError
            Where `samples` or `out` have another shape or dtype.

        Examples
        --------
        >>> window(range(9), [1, 1], slice(3, 5))(np.array([9, 16, 25]))
        array([25, 41])
        """
        return Plan(self._block.of(check_x(samples, self._block.request)))(samples, out)


@explained
def window(x: Any, kernel: Any, outputs: Any, **options: Any) -> Window:
    """Return what a box of outputs of ``convnd(x, kernel, ...)`` reads.

    Parameters
    ----------
    x : array_like
        The array, or whatever has its ``shape`` and ``dtype``. Its samples are not read.
    kernel : array_like
        The weights.
    outputs : slice or tuple of slice
        The box, as an index of the result: slices of step 1, with all channels.
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
    >>> box = window(x, kernel, np.s_[40:50], padding="same", stride=2)
    >>> box.slices, box.padding
    (((slice(78, 100, None),),), ((0, 1),))
    >>> box(box.read(x))
    array([400., 410., 420., 430., 440., 450., 460., 470., 480., 390.])
    """
    if not is_readable(x):
        x = as_array(x, "x")
    request = parse(stand_in(x.shape, dtype_of(x)), kernel, None, without_mask(Options(**options), "window"))
    shape, cuts, box = request.out_shape, outputs if isinstance(outputs, tuple) else (outputs,), []
    if len(cuts) > len(shape):
        raise ValueError(f"outputs has {len(cuts)} entries but the result has {len(shape)} axes {shape}")
    for a, length in enumerate(shape):
        cut = cuts[a] if a < len(cuts) else slice(None)
        if not isinstance(cut, slice):
            raise TypeError(f"outputs must be slices, but is {shown(cut)} along axis {a}")
        first, end, step = cut.indices(length)
        if step != 1 or first >= end:
            raise ValueError(
                f"outputs must be neighbours, one at least, but is {cut} along axis {a} of length {length}"
            )
        if request.is_bank and a == request.channel_axis and (first, end) != (0, length):
            raise ValueError(f"outputs must hold all {length} channels along axis {a}, but is {cut}")
        box.append((first, end))
    return Window(block(request, box))
