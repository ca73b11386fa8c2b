"""What the types of its arguments tell of a call of `convnd.convnd` in compiled code, and the errors about them."""

import json
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numba import types

from ..jit import tables as t
from ..jit.calls import columns as c
from ..jit.calls.columns import ALL_RUNS, LINE_VECTORS, LONG_VECTORS, ROW_VECTORS, SHARED_ROWS
from ..jit.intrinsics.register_tile import RegisterTile
from ..jit.machine import VECTOR_BYTES
from ..problem import dtypes
from ..problem.arguments.calls import misfit
from ..problem.arguments.messages import shown
from ..problem.arguments.names import chosen
from ..problem.arguments.spatial import BOUNDARY_RULE, PADDING_RULE
from ..problem.boundary import MODES
from ..problem.result import named_type, result_type

_CODES = {"float32": c.FLOAT32, "float64": c.FLOAT64, "int64": c.INT64}
_PADDING = {"valid": c.GIVEN, "same": c.SAME, "full": c.FULL}
_METHODS = {"direct": c.DIRECT, "auto": c.AUTO, "separable": c.SEPARABLE}
_TAKEN = "compiled code takes whole numbers and 32 or 64 bit floats, in the machine's byte order"
_RUNNING = object()  # in place of a value that is known when the code runs


def value_of(typ: Any) -> Any:
    """Return the value that the type of an argument tells, or `_RUNNING`."""
    if isinstance(typ, types.Omitted):
        return typ.value
    if isinstance(typ, types.Literal):
        return typ.literal_value
    if isinstance(typ, types.NoneType):
        return None
    return _RUNNING if isinstance(typ, types.Type) else typ


class _Array(tuple[Any, ...]):
    """Stands for an array in an error."""

    def __repr__(self) -> str:
        return str(self[0])


def _argument(typ: Any) -> Any:
    """Return what stands for an argument in an error: its value, where the type tells it."""
    if isinstance(typ, types.BaseTuple):
        return tuple(map(_argument, typ))
    value = value_of(typ)
    return value if value is not _RUNNING else _Array([typ]) if isinstance(typ, types.Array) else typ


def _shown(typ: Any) -> str:
    return shown(_argument(typ))


def _array(typ: Any, name: str) -> np.dtype[Any]:
    """Return the dtype of an array."""
    if not isinstance(typ, types.Array):
        raise TypeError(f"{name} must be an array in compiled code, but is {_shown(typ)}")
    floating = (types.float32, types.float64, types.complex64, types.complex128)
    if typ.dtype not in floating and not isinstance(typ.dtype, (types.Integer, types.Boolean)):
        raise TypeError(f"{name} has dtype {typ.dtype}, but {_TAKEN}")
    return np.dtype(str(typ.dtype))


def _word(typ: Any, name: str) -> Any:
    """Return the value of an argument that is one of some words."""
    value = value_of(typ)
    if value is _RUNNING:
        raise TypeError(f"{name} must be written out in compiled code, as {name}='...', but is {_shown(typ)}")
    return chosen(value, name)


def _check_whole(typ: Any, name: str) -> None:
    if isinstance(typ, (bool, types.Boolean)) or not isinstance(typ, (int, types.Integer)):
        raise TypeError(f"{name} must be a whole number or a tuple of them in compiled code, but is {_shown(typ)}")


def _entries(typ: Any, name: str, count: int) -> Iterable[Any]:
    """Return the types of the entries of an argument that has one for each spatial axis, or is one for all."""
    if not isinstance(typ, types.BaseTuple):
        return [typ]
    if len(typ) != count:
        raise ValueError(f"{name} has {len(typ)} entries but x has {count} spatial axes")
    return typ


def _check_padding(typ: Any, spatial: int) -> int:
    """Check the argument ``padding`` and return what it is."""
    value = value_of(typ)
    if isinstance(value, str) or isinstance(typ, types.UnicodeType) or value is None:
        return _PADDING[_word(typ, "padding")]
    for entry in _entries(typ, "padding", spatial):
        if isinstance(entry, types.BaseTuple) and len(entry) != 2:
            raise ValueError(f"{PADDING_RULE}, but has {_shown(entry)}")
        for end in entry if isinstance(entry, types.BaseTuple) else [entry]:
            _check_whole(end, "padding")
    return c.GIVEN


def boundary_codes(typ: Any, spatial: int) -> int | None:
    """Check the argument ``boundary``; return its code, or None where names are compared when the code runs."""
    if value_of(typ) is not _RUNNING:
        return list(MODES).index(chosen(value_of(typ), "boundary"))
    entries = _entries(typ, "boundary", spatial)
    if len({isinstance(entry, types.BaseTuple) for entry in entries}) > 1:
        raise ValueError(f"{BOUNDARY_RULE}, but mixes names and pairs: {_shown(typ)}")
    for entry in entries:
        names = entry if isinstance(entry, types.BaseTuple) else (entry, entry)
        if len(names) != 2 or not all(isinstance(name, (types.UnicodeType, types.StringLiteral)) for name in names):
            raise TypeError(f"{BOUNDARY_RULE}, but is {_shown(typ)} in compiled code")
    return None


def _check_fill(typ: Any, is_complex: bool) -> None:
    if not isinstance(typ, (int, float, complex, types.Number, types.Boolean)):
        raise TypeError(f"fill_value must be a number, but is {_shown(typ)}")
    if isinstance(typ, (complex, types.Complex)) and not is_complex:
        raise TypeError("fill_value must be real where x is real in compiled code")


def _named(typ: Any) -> Any:
    """Return the dtype that the argument ``dtype`` names, or None."""
    value = value_of(typ)
    if value is None:
        return None
    if value is _RUNNING:
        if not isinstance(typ, (types.NumberClass, types.DType)):
            raise TypeError(f"dtype must name a type, as np.float32 does, but is {_shown(typ)} in compiled code")
        value = str(typ.dtype)
    named = named_type(value, "dtype")
    if named == np.float16 or not named.isnative:
        raise TypeError(f"dtype is {named}, but {_TAKEN}")
    return named


def misfit_of(function: Any, given: Iterable[Any], named: Mapping[str, Any]) -> TypeError:
    """Return the error about arguments that ``convnd`` does not take, by their types."""
    values = {name: _argument(typ) for name, typ in named.items()}
    return misfit(function, [*map(_argument, given)], values) or TypeError("convnd() needs x and kernel")


class Facts(NamedTuple):
    """What types tell of a call."""

    spatial: int
    out_rank: int
    result: np.dtype[Any]
    is_whole: bool  # whether sums are exact
    is_unsigned: bool
    is_cleared: bool  # whether the result has an imaginary part that nothing is summed into
    largest: float  # magnitude of a whole number in x
    precision: str
    has_parts: bool  # whether lines may be found whose outer product the kernel is
    columns: str  # JSON text: columns of the call and what stands there


def _spatial(x: Any, kernel: Any, axes: Any, has_channel: bool) -> int:
    """Return the number of spatial axes."""
    if value_of(axes) is None:
        if not has_channel and kernel.ndim != x.ndim:
            meant = "write axes=... if the others are a batch, or channel_axis=... to sum over one of them"
            raise ValueError(f"kernel has {kernel.ndim} axes but x has {x.ndim}: {meant}")
        return x.ndim - has_channel
    for entry in axes if isinstance(axes, types.BaseTuple) else [axes]:
        _check_whole(entry, "axes")
    count = len(axes) if isinstance(axes, types.BaseTuple) else 1
    if count > x.ndim:
        raise ValueError(f"axes has {count} entries but x has {x.ndim} axes")
    return count


def _target(out: Any) -> np.ndarray | None:
    if value_of(out) is None:
        return None
    target = np.empty(0, _array(out, "out"))
    if not out.mutable:
        raise ValueError("out is read-only")
    return target


def facts_of(given: SimpleNamespace) -> Facts:
    """Check the types of a call's arguments, and return what they tell."""
    x, kernel, channel_axis, out = given.x, given.kernel, given.channel_axis, given.out
    own, weights, target = _array(x, "x"), _array(kernel, "kernel"), _target(out)
    has_channel = value_of(channel_axis) is not None
    if has_channel:
        _check_whole(channel_axis, "channel_axis")
    spatial = _spatial(x, kernel, given.axes, has_channel)
    extra = kernel.ndim - spatial
    if extra not in ((1, 2) if has_channel else (0,)):
        wanted = "one or two more for channel_axis" if has_channel else "as many"
        raise ValueError(f"kernel has {kernel.ndim} axes but x has {spatial} spatial axes: it must have {wanted}")
    result = result_type(own, weights, _named(given.dtype), target)
    out_rank = x.ndim - (has_channel and extra == 1)
    if target is not None and out.ndim != out_rank:
        raise ValueError(f"out has {out.ndim} axes but the result has {out_rank}")
    is_whole = dtypes.sums_exactly(own, weights)
    planes = [1 + (kind.kind == "c") for kind in (own, weights)]
    _check_fill(given.fill_value, planes[0] == 2)
    _check_rest(given, spatial)
    method = _check_method(given.method)
    precision = "float64" if is_whole else dtypes.working(own, np.zeros(1, weights), result, 0)
    is_unsigned = is_whole and dtypes.default_result(own, weights).kind == "u"
    has_passes = spatial > 1 and not (has_channel or is_whole or planes[1] == 2)
    columns = {
        **dict.fromkeys(range(t.JOB_COLUMNS), 0), t.FRAME: 1, t.PASSES: 1, t.BLOCK_FILTERS: 1, t.GROUP_TASKS: 1,
        c.CALL_SIZE: c.size(x.ndim), c.X_RANK: x.ndim, c.KERNEL_RANK: kernel.ndim, c.SPATIAL: spatial,
        c.HAS_CHANNEL: int(has_channel),
        c.IS_BANK: int(has_channel and extra == 2), c.HAS_AXES: int(value_of(given.axes) is not None),
        c.IS_FLIPPED: int(_word(given.convention, "convention") == "convolution"),
        c.METHOD: method if has_passes else c.DIRECT,
        c.IS_EMPTY: 0, c.PASSES: 0, c.OVERLAPS: 0, c.BYTES: 0,
        c.PADDING: _check_padding(given.padding, spatial), c.X_PLANES: planes[0], c.KERNEL_PLANES: planes[1],
        t.STORED: own.itemsize // planes[0], c.KERNEL_STORED: weights.itemsize // planes[1],
        c.RESULT: dtypes.real(result).itemsize, c.RESULT_BYTES: result.itemsize, c.IS_WHOLE: int(is_whole),
        **_ways(own, weights, result, ["float32", "float64", "int64"][own.itemsize > 2 :] if is_whole else [precision]),
    }  # fmt: skip
    if columns[c.METHOD] != c.DIRECT:
        line = np.dtype(precision).str
        columns[c.HEAD + c.READ_WORKING] = "read", line, precision
        columns[c.HEAD + c.WRITE_WORKING] = "write", precision, line, False
    for i in range(spatial):
        at = c.ROWS_BEGIN + i * c.ROW_COLUMNS
        columns |= {at + c.BEFORE: 0, at + c.AFTER: 0}
        if (code := boundary_codes(given.boundary, spatial)) is not None:
            columns |= {at + c.MODE_BEFORE: code, at + c.MODE_AFTER: code}
    is_cleared, largest = result.kind == "c" and 2 not in planes, float(dtypes.largest(own)) if is_whole else 0.0
    has_parts, text = columns[c.METHOD] != c.DIRECT, json.dumps([*columns.items()])
    return Facts(
        spatial, out_rank, result, is_whole, is_unsigned, is_cleared, largest, precision, has_parts, text
    )  # fmt: skip


def _ways(x: np.dtype[Any], kernel: np.dtype[Any], result: np.dtype[Any], workings: list[str]) -> dict[int, Any]:
    """Return the columns of the types that sums may be computed in."""
    stored, weights, written = (dtypes.real(kind).str for kind in (x, kernel, result))
    columns: dict[int, Any] = {c.WAYS: len(workings)}
    for k, working in enumerate(workings):
        unsigned = working == "int64" and dtypes.default_result(x, kernel).kind == "u"
        accumulated = "uint64" if unsigned else working
        item = np.dtype(working).itemsize
        lanes = VECTOR_BYTES // item
        tiles = {
            c.LINE_TILE: RegisterTile(working, 1, LINE_VECTORS, lanes, False, ((0, 1),), parts="many"),
            c.ROWS_TILE: RegisterTile(working, SHARED_ROWS, ROW_VECTORS, lanes, False, ALL_RUNS, parts="staggered"),
            c.LONG_TILE: RegisterTile(working, SHARED_ROWS, LONG_VECTORS, lanes, True, ALL_RUNS, parts="staggered"),
        }
        own = {
            c.CODE: _CODES[working], c.ITEM: item, c.LANES: lanes,
            c.READ_X: ("read", stored, working), c.READ_KERNEL: ("read", weights, working),
            c.READ_AT_ONCE: ("lines", working, lanes),
            c.WRITE: ("write", accumulated, written, False), c.WRITE_NEAR: ("write", accumulated, written, True),
            c.READS_NATIVE: int(stored == np.dtype(working).str),
            c.STORES_NATIVE: int(written == np.dtype(accumulated).str),
            **{column: ("tile", tile) for column, tile in tiles.items()},
        }  # fmt: skip
        columns |= {c.HEAD + k * c.WAY_COLUMNS + column: value for column, value in own.items()}
    return columns


def _check_method(typ: Any) -> int:
    word = _word(typ, "method")
    if word not in _METHODS:
        raise ValueError(f"method must be 'auto', 'direct' or 'separable' in compiled code, but is {word!r}")
    return _METHODS[word]


def _check_rest(given: SimpleNamespace, spatial: int) -> None:
    """Check the types of the arguments that decide no types."""
    for name in ("stride", "dilation", "upsample"):
        for entry in _entries(getattr(given, name), name, spatial):
            _check_whole(entry, name)
    _check_whole(given.groups, "groups")
    for name, only in (("mask", None), ("beta", 0), ("bias", None)):
        if value_of(getattr(given, name)) != only:
            raise ValueError(f"{name} must be {only} in compiled code, but is {_shown(getattr(given, name))}")
    if _word(given.nan_policy, "nan_policy") != "propagate":
        raise ValueError(f"nan_policy must be 'propagate' in compiled code, but is {_shown(given.nan_policy)}")
    if value_of(given.workers) not in (None, 1):
        raise ValueError(f"workers must be None or 1 in compiled code, which is serial, but is {_shown(given.workers)}")
