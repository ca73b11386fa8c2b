"""The transforms of Winograd's minimal filtering F(4x4, 3x3), after Lavin and Gray (2016), across vector lanes.

Along one axis four outputs of three taps are six products in place of twelve: samples and taps are taken to the values
of polynomials at the points ``0, a, -a, b, -b`` and infinity, and products back (Toom and Cook). With two axes they are
36 products in place of 144, and sums over input channels are taken between the transforms. Every lane is a tile of
six by six samples; neighbours overlap by two.

Nine taps along one axis are three by three, too: that axis is folded into three lines, and a tile has three lines of
four outputs. Three outputs need no point at infinity, so they are 30 products in place of 108.

The points decide the error (Barabasz et al., 2018, "Error analysis and improving the accuracy of Winograd
convolution"): of those with few bits, whose transforms have exact coefficients, these had the least.
"""

from llvmlite import ir
from numba.core import cgutils

from .emit import I64, SCALARS, Emitter, behind, chosen, constant, load, multiply_add, splat, store

A, B = 11 / 16, 3 / 2
OUTPUTS, SAMPLES, TAPS = 4, 6, 3  # of a tile along one axis
PLANES = SAMPLES * SAMPLES
FLOAT = 4  # bytes

#: The most that a transform adds up, as a multiple of the largest magnitude of what it is given.
SAMPLES_GAIN = max(A**2 * B**2 + A**2 + B**2 + 1, (1 + B) * (1 + A**2), (1 + A) * (1 + B**2))
OUTPUTS_GAIN = max(5, 2 * (A**3 + B**3) + 1)


def _multiply_add(b, factor, x, plus):
    return multiply_add(b, constant(x.type, factor), x, plus)


def _transform_samples(b, d):
    """Return the products' first factors: the samples' polynomial at the points.

    Five samples of three outputs do without the one at infinity.
    """
    sums = [(_multiply_add(b, -p * p, d[2], d[4]), _multiply_add(b, -p * p, d[1], d[3])) for p in (B, A)]
    ends = [
        _multiply_add(b, A * A * B * B, d[n], _multiply_add(b, -A * A - B * B, d[n + 2], d[n + 4]))
        for n in range(len(d) - 4)
    ]
    pairs = [
        _multiply_add(b, sign * p, odd, even) for p, (even, odd) in zip((A, B), sums, strict=True) for sign in (1, -1)
    ]
    return [ends[0], *pairs, *ends[1:]]


def _transform_taps(b, g):
    """Return the products' second factors: the taps' polynomial at the points, over what the way back multiplies."""

    def at(p, other):
        scale = 1 / (2 * p * p * (p * p - other * other))
        even = _multiply_add(b, p * p * scale, g[2], b.fmul(g[0], constant(g[0].type, scale)))
        return [_multiply_add(b, sign * p * scale, g[1], even) for sign in (1, -1)]

    return [b.fmul(g[0], constant(g[0].type, 1 / (A * A * B * B))), *at(A, B), *at(B, A), g[2]]


def _transform_products(b, m):
    """Return the four outputs of six products, the three of five."""
    sums, differences = ([op(m[n], m[n + 1]) for n in (1, 3)] for op in (b.fadd, b.fsub))

    def at(power, pair):
        return _multiply_add(b, A**power, pair[0], b.fmul(pair[1], constant(pair[1].type, B**power)))

    outputs = [b.fadd(b.fadd(*sums), m[0]), at(1, differences), at(2, sums)]
    last = [_multiply_add(b, A**3, differences[0], _multiply_add(b, B**3, differences[1], end)) for end in m[5:]]
    return outputs + last


def _dealt(b, vectors):
    """Return every fourth element of four neighbouring vectors, from each of their first four."""
    lanes = vectors[0].type.count
    even, odd = range(0, 2 * lanes, 2), range(1, 2 * lanes, 2)
    halves = [[chosen(b, vectors[n], vectors[n + 1], which) for n in (0, 2)] for which in (even, odd)]
    return [chosen(b, halves[n % 2][0], halves[n % 2][1], (even, odd)[n // 2]) for n in range(4)]


def _collected(b, vectors):
    """Undo `_dealt`."""
    pairs = zip(_interleaved(b, vectors[::2]), _interleaved(b, vectors[1::2]), strict=True)
    return [part for pair in pairs for part in _interleaved(b, pair)]


def _interleaved(b, vectors):
    """Return the first element of every vector, then their second ones, and so on, as so many vectors."""
    lanes, ways = vectors[0].type.count, len(vectors)
    results = []
    for begin in range(0, ways * lanes, lanes):
        result = vectors[0]
        sources = [divmod(n, ways) for n in range(begin, begin + lanes)]
        for way in range(1, ways):
            # What the first choice leaves to the others is anything.
            kept = [lane if way == 1 else n for n, (lane, _) in enumerate(sources)]
            order = [lanes + lane if own == way else keep for (lane, own), keep in zip(sources, kept, strict=True)]
            result = chosen(b, result, vectors[way], order)
        results.append(result)
    return results


@Emitter
def transform_line(b, lanes, /, source, target, plane, vectors):
    """Transform a line of samples along itself: of each tile of the line, into six planes."""
    vector, size = ir.VectorType(SCALARS["float32"], lanes), lanes * FLOAT
    with cgutils.for_range(b, vectors, intp=I64) as block:
        begin = behind(b, source, (block.index, OUTPUTS * size))
        samples = _dealt(b, [load(b, behind(b, begin, n * size), vector) for n in range(4)])
        for n in (0, 1):  # the first two samples of the next tile
            beyond = load(b, behind(b, begin, OUTPUTS * size + n * FLOAT), SCALARS["float32"])
            samples.append(chosen(b, samples[n], splat(b, vector, beyond), range(1, lanes + 1)))
        for n, value in enumerate(_transform_samples(b, samples)):
            store(b, value, behind(b, target, (block.index, size), (plane, n)))


@Emitter
def transform_tiles(b, lanes, height, /, source, plane, below, target, target_plane, vectors):
    """Transform the planes that `transform_line` left across their lines, into six for each line that tiles read.

    Of each of the six there are four, ``plane`` bytes apart, of every fourth line; ``below`` are the bytes from a line
    of tiles to the next. Tiles are ``height`` lines of outputs, 4 or 3.
    """
    vector, size = ir.VectorType(SCALARS["float32"], lanes), lanes * FLOAT
    with cgutils.for_range(b, vectors, intp=I64) as block:
        for column in range(SAMPLES):
            begin = behind(b, source, (block.index, size), (plane, OUTPUTS * column))
            samples = [
                load(b, behind(b, begin, (plane, n % OUTPUTS), (below, n // OUTPUTS)), vector)
                for n in range(height + TAPS - 1)
            ]
            for n, value in enumerate(_transform_samples(b, samples)):
                store(b, value, behind(b, target, (block.index, size), (target_plane, SAMPLES * n + column)))


@Emitter
def transform_sums(b, lanes, height, /, source, plane, target, target_plane, vectors):
    """Transform planes of products, summed over terms, into the four lines of outputs of a tile.

    Three of one that is folded are one line again.
    """
    vector, size = ir.VectorType(SCALARS["float32"], lanes), lanes * FLOAT

    with cgutils.for_range(b, vectors, intp=I64) as block:
        begin = behind(b, source, (block.index, size))
        rows = [
            _transform_products(
                b, [load(b, behind(b, begin, (plane, SAMPLES * row + n)), vector) for n in range(SAMPLES)]
            )
            for row in range(height + TAPS - 1)
        ]
        columns = [_transform_products(b, column) for column in zip(*rows, strict=True)]
        results = [_collected(b, line) for line in zip(*columns, strict=True)]
        if len(results) < OUTPUTS:
            results = [[own for three in zip(*results, strict=True) for own in _interleaved(b, three)]]
        for row, line in enumerate(results):
            for n, value in enumerate(line):
                store(b, value, behind(b, target, (block.index, len(line) * size), (target_plane, row), n * size))


@Emitter
def transform_taps(b, lanes, rows, /, source, target, target_plane, target_block, channels):
    """Transform the taps of some channels of ``lanes`` filters into 36 planes of blocks of ``rows`` filters.

    The source is (channels, taps, filters). The arithmetic is in double precision, half the lanes at a time.
    """
    half = lanes // 2
    vector, wide = (ir.VectorType(SCALARS[name], half) for name in ("float32", "float64"))
    with cgutils.for_range(b, channels, intp=I64) as channel:
        for first in (0, half):
            begin = behind(b, source, (channel.index, TAPS * TAPS * lanes * FLOAT), first * FLOAT)
            taps = [load(b, behind(b, begin, n * lanes * FLOAT), vector) for n in range(TAPS * TAPS)]
            taps = [b.fpext(tap, wide) for tap in taps]
            values = [_transform_taps(b, taps[TAPS * row : TAPS * (row + 1)]) for row in range(TAPS)]
            to = behind(b, target, (target_block, first // rows), first % rows * FLOAT, (channel.index, rows * FLOAT))
            for column, samples in enumerate(zip(*values, strict=True)):
                for row, value in enumerate(_transform_taps(b, samples)):
                    place = behind(b, to, (target_plane, SAMPLES * row + column))
                    store(b, b.fptrunc(value, vector), place)
