"""An array in chunks, as packages that keep arrays in files have them."""

import numpy as np


class Stored:
    """An array that is read and written by slices alone, and counts what is asked of it."""

    def __init__(self, values, chunks):
        self.values, self.chunks = values, chunks
        self.shape, self.dtype = values.shape, values.dtype
        self.read, self.written = np.zeros(values.shape, int), np.zeros(values.shape, int)

    def __getitem__(self, box):
        self._check(box)
        self.read[box] += 1
        return self.values[box]

    def __setitem__(self, box, values):
        self._check(box)
        assert all(s.start % n == 0 and (s.stop % n == 0 or s.stop == length)
                   for s, n, length in zip(box, self.chunks, self.shape))  # fmt: skip
        self.written[box] += 1
        self.values[box] = values

    def _check(self, box):
        assert len(box) == len(self.shape)
        assert all(0 <= s.start < s.stop <= n and s.step is None for s, n in zip(box, self.shape))
