"""The order of taps, the tiles along an axis, and the positions that outputs read, as tables of whole numbers."""

from __future__ import annotations

from math import gcd

from numba import njit

from .. import tables as t
from ..compile import HELPER


@njit(**HELPER)
def phase_count(taps, stride, dilation):
    """Return the number of phases of the stride, between which the taps are divided."""
    return min(taps, stride // gcd(dilation, stride))


@njit(**HELPER)
def tap_spacing(stride, dilation):
    """Return the outputs from one tap of a phase to the next."""
    return dilation // gcd(dilation, stride)


@njit(**HELPER)
def phase_length(taps, phases, first):
    """Return the taps of the phase that begins with one."""
    return (taps - first + phases - 1) // phases


@njit(**HELPER)
def write_order(taps, stride, dilation, phases, firsts, order):
    """Write the first tap of every phase, and all taps phase by phase: every output sums them in this order."""
    for k in range(phases):
        phase, place = dilation * k % stride, k
        while place > 0 and dilation * firsts[place - 1] % stride > phase:
            firsts[place] = firsts[place - 1]
            place -= 1
        firsts[place] = k
    count = 0
    for k in range(phases):
        for tap in range(firsts[k], taps, phases):
            order[count] = tap
            count += 1


@njit(**HELPER)
def most_parts(channels, taps, phases):
    """Return a number that the parts of a sum are not more than."""
    return channels * (taps // t.PART_TAPS + phases)


@njit(**HELPER)
def write_parts(channels, taps, own, phases, firsts, ends):
    """Write the taps of all channels up to the end of each part of a sum; return how many there are.

    They depend on the kernel alone. ``own`` are the taps along the first axis that has several, in ``phases`` whose
    first taps are ``firsts``. Plans in Python call the function that is compiled here.
    """
    count, least = 0, min(own, max(t.PART_ENTRIES, -(-t.PART_TAPS * own // taps)))
    if channels * taps < t.LEAST_DIVIDED:
        count, ends[0] = 1, channels * taps
    elif taps <= t.PART_TAPS:
        count = channels * taps // t.CHANNELS_TAPS
        for part in range(count):
            ends[part] = (part + 1) * channels // count * taps
    else:
        together = max(1, least * phases // own)  # phases of a part, where they are short
        for channel in range(channels):
            begin = 0
            for k in range(phases):
                length = (own - firsts[k] + phases - 1) // phases
                parts = max(1, length // least)
                for part in range(parts if (k + 1) % together == 0 or k + 1 == phases else 0):
                    ends[count] = channel * taps + (begin + (part + 1) * length // parts) * (taps // own)
                    count += 1
                begin += length
    return count


@njit(**HELPER)
def write_begins(length, before, extent, stride, outputs, size, border, begins):
    """Write the first output of every tile along an axis, and the number of outputs behind them; return the tiles.

    Where the register tile can read the array itself (``border`` > 0), the outputs whose windows leave the array get
    tiles of their own: at the beginning whole blocks of ``border`` outputs, at the end one at most where it holds them.
    Plans in Python call the function that is compiled here.
    """
    unit, head, tail = max(1, border), outputs, outputs
    if border > 0:
        inside = min(outputs, (length + before - extent) // stride + 1)  # outputs up to the last inside
        head = min(outputs, -(-max(0, -(-before // stride)) // border) * border)
        tail = head + max(0, inside - head) // border * border
        if tail > head:  # what is left of the line is one block, or none
            tail = inside if inside == outputs else min(inside, max(tail, outputs - border))
    count, first = 0, 0
    begins[0] = 0
    for mark in (head, tail, outputs):
        if mark > first:
            tiles = -(-(mark - first) // size)
            step = -(-(mark - first) // tiles)
            step = -(-step // unit) * unit
            while first < mark:
                first = min(first + step, mark)
                count += 1
                begins[count] = first
    return count


@njit(**HELPER)
def write_window(taps, stride, dilation, phases, outputs, firsts, places, runs):
    """Write the window that neighbouring outputs read, packed so that positions one stride apart are neighbours.

    Tap ``t`` of output ``o`` reads the packed position ``places[t] + o``. ``runs`` are the positions as runs of a
    constant step, four numbers each: the first place, the length, the first position and the step. Return how many
    there are.
    """
    if stride == 1 and dilation <= outputs:
        for tap in range(taps):
            places[tap] = dilation * tap
        runs[0], runs[1], runs[2], runs[3] = 0, outputs + dilation * (taps - 1), 0, 1
        return 1
    packed, count = 0, 0
    for k in range(phases):
        origin, end = 0, -1  # the step after the last one that this phase has packed so far
        for tap in range(firsts[k], taps, phases):
            steps, remainder = dilation * tap // stride, dilation * tap % stride
            first = steps if steps > end else end
            if first == steps:
                origin = packed - steps
            length = steps + outputs - first
            if end == first:
                runs[4 * count - 3] += length
            else:
                at = 4 * count
                runs[at], runs[at + 1], runs[at + 2], runs[at + 3] = packed, length, first * stride + remainder, stride
                count += 1
            packed += length
            places[tap] = origin + steps
            end = steps + outputs
    return count


@njit(**HELPER)
def fed_rows(position, taps, rows, lag):
    """Return the run of rows that a position feeds, of which each reads what the next one reads ``lag`` taps earlier.

    It is empty where the first row is not below the second.
    """
    return max(0, -((taps - 1 - position) // lag)), min(rows, position // lag + 1)


@njit(**HELPER)
def run_number(first, end, rows):
    """Return the number of a run of rows among all there are, ordered by where they begin and end."""
    return first * rows - first * (first - 1) // 2 + end - first - 1
