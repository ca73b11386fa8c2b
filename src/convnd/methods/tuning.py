"""Sizes and costs that were measured, for how problems are cut."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Tuning:
    """Sizes that were measured, in one place so that tests can make them small."""

    window_bytes: int = 512 * 1024  #: of a tile's window: it stays in L2 beside its outputs
    rolling: int = 4  #: windows of one that is read in place: a few of its rows at a time are in use
    line_price: int = 16  #: what starting a line costs, as elements of halo
    small_halo: float = 1 / 128  #: share of a window that is read twice, below which a tile need not grow
    gather_cycles: float = 0.4  #: of an element that is gathered, with the array in memory
    gather_line_cycles: float = 80.0  #: of a line that is gathered
    results_bytes: int = 8 * 1024  #: of results that wait to be converted and stored: they stay in L1
    serial_below: float = 60_000.0  #: estimated cycles below which a second thread costs more than it brings
    tasks_per_worker: int = 8  #: so that a slow core does not hold up the others
    inside_cycles: float = 0.8  #: of an element that is read in place, the time it takes from memory
    row_tap_cycles: float = 0.75  #: of a vector and a tap of a pass along rows
    line_tap_cycles: float = 1.4  #: of one along lines, whose vectors lie across cache lines
    first_level_bytes: int = 32 * 1024  #: of the rows that a pass uses at once
    second_level_cycles: float = 12.0  #: of a vector whose rows do not fit there
    slab_cycles: float = 12.0  #: of a complex vector, to and from a slab of a Fourier transform
    product_cycles: float = 4.0  #: of a complex vector times the spectrum's
    near_bytes: int = 768 * 1024  #: of a complex tile, up to which its transforms stay in L2
    far_bytes: float = 6.0  #: that a core moves in a cycle beyond that
    memory_bytes: int = 56 * 2**20  #: of tiles and spectra that a call may hold


TUNING = Tuning()
