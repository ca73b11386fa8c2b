"""The weights of a call, packed for its register tile."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..compile import HELPER
from ..gather import clear
from ..intrinsics.memory import call, indices_at, words_at
from ..taps import fed_rows, phase_length, union_length
from . import columns as c
from .canonical import of, summed_planes
from .shapes import SHARED_ROWS


@njit(**HELPER)
def _copy_weight(source, target, item):
    if item == 4:
        words_at(target)[0] = words_at(source)[0]
    else:
        indices_at(target)[0] = indices_at(source)[0]


@njit(**HELPER)
def _spread(d, m, shared, weights, target):
    """Write the weights of a filter for each tap and row of a register tile, zeros where a tap does not feed a row."""
    own, item, lag, within = of(d, shared), d[d[c.WAY] + c.ITEM], d[c.LAG], d[c.INNER_TAPS]
    n, phases = d[own + c.OF_TAPS], d[own + c.OF_PHASES]
    order = d[c.ORDER_AT] + d[own + c.OF_PLACES_AT]
    clear(target, d[c.FILTER_BYTES])
    for o in range(d[c.OUTER_TAPS]):
        begin = 0
        while begin < n:
            first = m[order + begin]
            length = phase_length(n, phases, first)
            begin += length
            for position in range(union_length(length, SHARED_ROWS, lag)):
                row, end = fed_rows(position, length, SHARED_ROWS, lag)
                if row >= end:
                    continue
                for r in range(row, end):
                    tap = first + (position - lag * r) * phases
                    source = weights + (o * n + tap) * within * item
                    for i in range(within):
                        _copy_weight(source + i * item, target + (i * SHARED_ROWS + r) * item, item)
                target += within * SHARED_ROWS * item


@njit(**HELPER)
def _negate(address, count, item):
    """Change the sign of neighbouring floating numbers."""
    for k in range(count):
        if item == 4:
            words_at(address)[k] ^= np.uint32(2**31)
        else:
            indices_at(address)[k] ^= np.int64(-(2**63))


@njit(**HELPER)
def pack(d, m, base, shared):
    """Pack the weights of every filter."""
    way, groups = d[c.WAY], d[c.GROUPS]
    item, planes, summed = d[way + c.ITEM], d[c.KERNEL_PLANES], summed_planes(d)
    count = d[c.OUTER_TAPS] * d[c.SHARED_TAPS] * d[c.INNER_TAPS]
    channel_taps = count // d[c.IN_CHANNELS]
    offsets, packed = base + 8 * d[c.KERNEL_OFFSETS_AT], base + 8 * d[c.WEIGHTS_AT]
    number = 0
    for _ in range(d[c.GROUP_PLANES]):
        for number_of_filter in range(groups * d[c.FILTERS]):
            target = packed + number * d[c.FILTER_BYTES]
            number += 1
            weights = target if shared < 0 else offsets + 8 * count
            filter_plane = number_of_filter % planes
            first = d[c.KERNEL] + d[c.KERNEL_FIRST] + number_of_filter // planes * d[c.FILTER_STEP]
            if planes == 1:
                call(d[way + c.READ_KERNEL], (first, weights, count, 0, offsets))
            else:  # (a + ib)(x + iy) = (ax - by) + i(bx + ay)
                for channel in range(d[c.IN_CHANNELS]):
                    plane = filter_plane ^ (channel % summed)
                    own = weights + channel * channel_taps * item
                    taps = offsets + 8 * channel * channel_taps
                    call(d[way + c.READ_KERNEL], (first + plane * d[c.KERNEL_STORED], own, channel_taps, 0, taps))
                    if filter_plane < channel % summed:
                        _negate(own, channel_taps, item)
            if shared >= 0:
                _spread(d, m, shared, weights, target)
