"""The columns of what Python lays out for compiled code: whole numbers, addresses and sizes in bytes, in one table.

A kernel function takes the grid of tiles, whose length is the rank, and the ``table``, an array of int64. Each worker
has whole numbers of its own, called ``memory``. The table begins with a job for each pass, `JOB_COLUMNS` numbers each.
``table[job + X]`` is a column of a job, ``table[axis + LENGTH]`` of an axis, with
``axis = table[job + AXES] + a * AXIS_COLUMNS``. A column described as a place says where in the table something begins.
"""

# Of an axis. ``WINDOW`` positions are gathered for a full tile; ``REACH`` is the extent - 1. The places are of the
# tiles' first outputs, and of the window's positions. A pass that leaves the axis as it is carries ``KEPT`` positions
# along, ``HALO`` more than outputs at most; ``KEPT`` is 0 where it finds its outputs. ``MAP`` is the axis' place in a
# worker's map. What begins with ``OF_`` is there in calls from compiled code alone.
(
    LENGTH, STRIDE, BEFORE, REACH, UNIT, MODE_BEFORE, MODE_AFTER, X_STEP, OUT_STEP, TILES, BEGINS, WINDOW, POSITIONS,
    MAP, PITCH, KEPT, HALO, OF_TAPS, OF_DILATION, OF_AFTER, OF_OUTPUTS, OF_PHASES, OF_SHAPE, OF_KERNEL_STEP,
    OF_PLACES, AXIS_COLUMNS,
) = range(26)  # fmt: skip

# Of a job, whatever its method.
(
    # rank, place of the axes
    RANK, AXES,
    # addresses: the arrays, the weights as the method wants them, the fill value of each input channel
    X, OUT, WEIGHTS, FILLS,
    # places: the channels' offsets, the runs of positions of a line, and how many
    X_CHANNELS, OUT_CHANNELS, RUNS, RUN_COUNT,
    # C functions: what a worker does; gather; read a line of x, write one of the result; search for the largest
    # magnitude; read short lines at once, and deal frames to the lines of channels, where they can be, else 0
    RUN_TASKS, GATHER, READ, WRITE, LARGEST, READ_LINES, READ_FRAMES,
    # channels that are gathered together, sample by sample (or 1); bytes of a sample of x, of one that is computed with
    FRAME, STORED, ITEM,
    # input channels of a group and the bytes between their windows; groups; output channels of a group
    IN_CHANNELS, CHANNEL_PITCH, GROUPS, GROUP_FILTERS,
    # bits of the least and of the largest magnitude that the method takes, 0 for any; address of a flag for each task
    LEAST, MOST, FLAGS,
    # tasks: how many, the address of the next; passes; workers; the address of what is 1 while a call has the threads;
    # the scratch of a worker, where its windows begin; whole numbers of a worker
    TASKS, NEXT_TASK, PASSES, WORKERS, BUSY, SCRATCH, SCRATCH_BYTES, WINDOW_AT, NUMBERS,
    # whole numbers of the table; the addresses of the table and of the workers' whole numbers
    SIZE, ADDRESS, MEMORY,
    COLUMNS,
) = range(40)  # fmt: skip

# In place of an offset in x: the fill value is meant, or no output of the tile reads the place.
FILL_VALUE, UNREAD = -(2**62), -(2**62) - 1

# Of a job of the direct and the separable method, behind those.
(
    # addresses of the first and the last sample that x has
    X_LOW, X_HIGH,
    # whether the register tile may read x itself, and the channels' lowest and highest offset there
    READS_X, CHANNELS_LOW, CHANNELS_HIGH,
    # C functions: run the blocks of a tile, the register tile along a line; its rows (neighbours along ROW_AXIS,
    # ROW_SPACING apart, or channels), its block of a line, and the blocks whose results wait to be stored
    RUN_TILE, RUN_LINE, TILE_FUNCTION, ROW_AXIS, ROWS, ROW_SPACING, BLOCK, PIECES,
    # phases of an upsampled problem, one where it is none (place): `PHASE_COLUMNS` numbers of each, and by how many
    # outputs it has fewer than most along each axis; blocks of weights and output channels of one
    PHASES, PHASE_BLOCKS, PHASE_FILTERS,
    # bytes from a block to the rows that the next one reads first, and between those rows; taps of a line
    AHEAD, X_ROW, LINE_TAPS,
    # output channels of a block of weights; blocks of a group and of a task; tasks of a group; bytes of a block
    BLOCK_FILTERS, BLOCKS, TASK_BLOCKS, GROUP_TASKS, WEIGHTS_BLOCK,
    # whether the register tile may write the result itself, and then the bytes between output channels; axes that run
    # as one line with the last; where results wait in a worker's scratch; the C function that searches for the largest
    # magnitude of what is not NaN
    WRITES_OUT, CHANNEL_STEP, FLAT, RESULTS_AT, LARGEST_NUMBER,
    # lanes of a vector where they are output channels, else 0; whether the result's channels lie nearer than its
    # outputs; the C functions that transpose blocks, write results between lines of channels and of outputs, and write
    # several lines along the axis before the last, else 0
    LANES, CHANNELS_NEAR, TRANSPOSE, WRITE_LANES, WRITE_LINES,
    # bytes from the fill values to what the function that writes lines of results reads
    BESIDE_FILLS,
    # where a pass writes in a worker's scratch, 0 for the result; how many samples of what it wrote are looked at, and
    # the bits of the largest magnitude that they may have
    TARGET_AT, CHECKED, MOST_WRITTEN,
    # of a pass of sums along an axis: the axis; the taps; after how many positions sums begin anew, which is as many
    # as taps for moving sums, and more than there are for folded ones; the bytes that the sums in between take
    SUM_AXIS, SUM_TAPS, SUM_PERIOD, SUM_ENDS,
    # C function that multiplies by a power of two, 0 where subnormal numbers are as fast as others or there are none;
    # the exponent of what results are multiplied by where the copy of weights behind them is read, 0 where none is
    SCALE, LIFTED_BY,
    # whether the lines along the axis before the last are blocks that run together
    LINES_TOGETHER,
    # the address of the table by which tasks pack their blocks of weights, 0 where that was done before; where they do
    # in a worker's scratch
    PACKING, PACKED_AT,
    # place of the bounds and the parts of the taps that each line along the axis before the last sums, 0 where all do
    # as the phase says
    BORDERS,
    JOB_COLUMNS,
) = range(COLUMNS, COLUMNS + 49)  # fmt: skip

# Of a pass over lines, behind those of any job.
(
    # addresses of three arrays, and of what the C function reads or writes beside them; that function
    FIRST, SECOND, THIRD, BESIDE, LINE_FUNCTION,
    # place of the lengths of the axes, behind which each axis has the steps of the arrays; lines, blocks of one, and
    # lines of a task
    LENGTHS, LINE_COUNT, LINE_BLOCKS, TASK_LINES,
    LINES_COLUMNS,
) = range(COLUMNS, COLUMNS + 10)  # fmt: skip

PHASE_COLUMNS = 4  # addresses: the taps' offsets in a window and in x, the bounds of their groups, and the parts

# Sums of `LEAST_DIVIDED` taps and more are divided into parts: of whole channels that have few taps, about
# `CHANNELS_TAPS` together, else of `PART_TAPS` and of `PART_ENTRIES` along one axis, at least: so many rows may share
# them. The sums of `TOGETHER` parts are added up before they are added to others.
LEAST_DIVIDED, CHANNELS_TAPS, PART_TAPS, PART_ENTRIES, TOGETHER = 192, 128, 64, 8, 8

# Rows of a worker's memory, a number for each axis; behind them the map of the window and the segments of a line.
# The first number of `EXPONENT` is that of the power of two that results are to be divided by, that of `WEIGHTS_BEHIND`
# how many bytes behind a job's weights those lie that are to be read.
FREE, TILE, ORIGIN, OUTPUTS, CARRIED, STARTS, LINES, PLACE, LINE_PLACE, EXPONENT, WEIGHTS_BEHIND, MEMORY_ROWS = range(
    12
)
SUMMED_APART = 16  #: entries, of which sums of a kernel's factors take every so many first
SEGMENT = 5  # numbers of a segment of a line: place, count, offset and step of the source, and which samples

# Of a job of the FFT method, behind all of those. ``WEIGHTS`` are the filters' spectra.
(
    # bytes of a plane, of a row of it, of a vector of lanes, of a slab; where the slabs lie in a worker's scratch
    PLANE, ROW, VECTOR, SLAB_BYTES, SLABS_AT,
    # places: the dimensions in the order of their transforms, the last of them, and the passes
    DIMENSIONS, LAST_DIMENSION, STEPS,
    # the last transform: how many slabs it has; the address of its twist, 0 for none
    SLABS, TWIST,
    # C functions: products of slabs by the twist, its conjugate, a spectrum
    TWIST_BY, UNTWIST_BY, MULTIPLY, MULTIPLY_ADD,
    # the filters: their address, the copy of weights to their places in a tile, bytes of a filter and of its spectrum
    FILTERS, COPY, PLACE_RUNS, PLACE_COUNT, FILTER_BYTES, SPECTRUM_BYTES,
    # exponents of the powers of two that samples are multiplied by, where the bits of all are below SMALL, and filters
    POWER, SMALL, FILTER_POWER,
    FFT_COLUMNS,
) = range(JOB_COLUMNS, JOB_COLUMNS + 24)  # fmt: skip

# Of a dimension that is transformed: ``OUTER`` times around it, ``INNER`` vectors inside it, ``DIMENSION_PITCH`` bytes
# apart.
DIMENSION_LENGTH, DIMENSION_PITCH, OUTER, INNER, FIRST_STEP, STEP_COUNT, DIMENSION_COLUMNS = range(7)
# Of a pass of a transform: its C functions, blocks, span, and the address of its twiddles.
FORWARD, INVERSE, STEP_BLOCKS, SPAN, TWIDDLES, STEP_COLUMNS = range(6)

# Of a job of Winograd's method, behind those of the direct one. ``WEIGHTS`` are the transformed filters: (groups,
# blocks, planes, terms, rows).
(
    # the axis of the kernel that is not the last, or the last where it is folded
    DOWN,
    # into how many lines the last axis is folded, 1 where it is not, and then the bytes between lines of a window;
    # lines and outputs of a tile along these axes, and its planes
    FOLDS, LINE_PITCH, HEIGHT, WIDTH, PLANES_OF_TILE,
    # C functions: transforms; the place of the terms' offsets and of the bounds
    TRANSFORM_LINE, TRANSFORM_TILES, TRANSFORM_SUMS, TRANSFORM_FILTERS, TERM_OFFSETS, BOUNDS,
    # bytes of the lanes of an item, of a channel, of a row of sums; of the planes between two transforms, of windows,
    # of sums, of lines of outputs
    ITEM_ROW, CHANNEL_ROW, SUMS_ROW, BETWEEN_PLANE, WINDOWS_PLANE, SUMS_PLANE, RESULTS_PLANE,
    # where these lie in a worker's scratch, and there the filters that a task transforms, 0 where that was done before;
    # what is cleared at first, since a part of it may be read before it is written
    BETWEEN_AT, PLANES_AT, SUMS_AT, FILTERS_AT, CLEARED_AT, CLEARED_BYTES,
    # blocks of channels that are summed before they are transformed; channels whose results are stored together; bytes
    # of a block's weights for one plane
    BLOCKS_AT_ONCE, STORED_TOGETHER, WEIGHTS_PLANE,
    # input channels times the taps that are summed as they are; the address of the parts that they are summed in
    TERMS, PARTS,
    # the filters to transform: their address, bytes of one, blocks of as many as there are lanes in a group, and the
    # address of the bits of each one's largest magnitude
    TAPS, TAPS_BYTES, FILTER_BLOCKS, LARGEST_TAPS,
    WINOGRAD_COLUMNS,
) = range(JOB_COLUMNS, JOB_COLUMNS + 35)  # fmt: skip

# Of the first job of a kernel gradient, behind those of the FFT method. The second job describes y, whose windows are
# gathered beside those of x. A task is so many neighbouring tiles, and filters of a group that y has as a group of
# channels.
(
    # C function that adds the products of a tile to the sums of its task
    SUM_TILE,
    # the first tile of all tasks, the one behind the last, and the tasks that these are divided among
    FIRST_TILE, END_TILE, SHARES,
    # phases; tasks that the filters of a phase are divided among; of such a task the blocks of lines of y, the blocks
    # of taps, and the taps of one; the C function that sums the products of both along a line
    PHASE_COUNT, FILTER_TASKS, ROW_BLOCKS, TAP_BLOCKS, BLOCK_TAPS, SUM_PRODUCTS,
    # where a worker's scratch holds the windows of y; bytes there from a block of lines to the next, and how much
    # longer than outputs the lines are, where those of a block are one line, each shifted against the one before it
    Y_AT, BLOCK_PITCH, BEYOND,
    # bytes from a line of y in a block to the next; sums from one to the next
    ROW_PITCH, SUMS_PITCH,
    # where a worker's scratch holds the sums of products of spectra
    SPECTRA_AT,
    # where a worker's scratch holds, if filters are lanes, where the outputs of a tile begin to read, y by outputs, and
    # the sums
    PLACES_AT, TURNED_AT, TOTALS_AT,
    GRADIENT_COLUMNS,
) = range(FFT_COLUMNS, FFT_COLUMNS + 20)  # fmt: skip
