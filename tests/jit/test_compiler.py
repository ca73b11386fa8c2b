"""Compiled functions compute what Python does, and the folder that keeps them is bounded and may be damaged."""

import ctypes
import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from convnd.jit import disk, machine
from convnd.jit.expressions import with_element
from convnd.jit.gather import total, unravel
from convnd.jit.machine import compile_routine, read_index, write_index
from convnd.problem import boundary

NUMBERS = (-7, -3, -1, 0, 1, 2, 3, 8)


def compiled(function):
    """The function as machine code: it writes its result through an address that comes first."""
    three = function.__code__.co_argcount == 3

    def two_numbers(out, a, b):
        write_index(out, 0, function(a, b))

    def three_numbers(out, a, b, c):
        write_index(out, 0, function(a, b, c))

    routine = compile_routine(three_numbers if three else two_numbers)

    def call(*arguments):
        out = np.zeros(1, np.int64)
        kinds = [ctypes.c_ssize_t] * (1 + len(arguments))
        ctypes.CFUNCTYPE(None, *kinds)(routine.address)(out.ctypes.data, *arguments)
        return int(out[0])

    return call


def division(a, b):
    if b == 0:
        return -1
    return (a // b) * 1000 + a % b + (-(-a // 3)) * 7 - (a % -4)


def choices(a, b):
    value = a if a < b else b if b != 2 else 5
    if 0 <= a < b or not b:
        value += 10
    elif a == 1 and b == 1:
        value -= 10
    value |= a & b ^ 3
    return min(value, a + b) if a > 1 else value


def loops(a, b):
    total = 0
    for k in range(a):
        for j in range(k, -2, -1):
            if j == b:
                continue
            if j + k > 9:
                break
            total += k * j
    while total > 20:
        total -= 7
        if total == b:
            return -total
    for k in range(4):
        if k == b:
            return total + 100 * k
        if k > a:
            break
        total += k
    return total


@pytest.mark.parametrize("function", [division, choices, loops])
def test_it_means_what_it_means_in_python(function):
    call = compiled(function)
    for a, b in itertools.product(NUMBERS, NUMBERS):
        assert call(a, b) == function(a, b), (a, b)


def test_boundaries_are_those_of_python():
    call = compiled(boundary.source_position)
    for mode, n in itertools.product(range(len(boundary.MODES)), (1, 2, 5)):
        for i in range(-12, 18):
            assert call(i, n, mode) == boundary.source_position(i, n, mode)


def test_tuples_are_known_beforehand():
    def flat(a, b):
        counts = (2, 3, 4)
        place = unravel(a, counts)
        place = with_element(place, b, place[b] + 50)
        return place[0] * 10_000 + place[1] * 100 + place[2] + 1_000_000 * len(place) * total(counts)

    call = compiled(flat)
    for a, b in itertools.product(range(24), range(3)):
        place = list(map(int, np.unravel_index(a, (2, 3, 4))))
        place[b] += 50
        assert call(a, b) == place[0] * 10_000 + place[1] * 100 + place[2] + 72_000_000


def test_what_is_beyond_the_subset_is_said():
    def power(a, b):
        with a:
            return b

    with pytest.raises(NotImplementedError, match=r"power.*line 2.*With"):
        compiled(power)


def test_what_need_not_be_computed_is_not():
    counter = np.zeros(1, np.int64)
    address = counter.ctypes.data

    def seen(a):
        write_index(address, 0, read_index(address, 0) + 1)
        return a

    def lazily(a, b):
        return (a > 0 and seen(b) > 0) or (b < -2 and seen(a) == 0)

    call = compiled(lazily)
    for a, b in itertools.product(NUMBERS, NUMBERS):
        counter[0] = 0
        assert bool(call(a, b)) == ((a > 0 and b > 0) or (b < -2 and a == 0))
        assert counter[0] == (a > 0) + (b < -2 and not (a > 0 and b > 0))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    locator = SimpleNamespace(get_cache_path=lambda: str(tmp_path), ensure_cache_path=lambda: None)
    monkeypatch.setattr(disk, "_locator", lambda: locator)
    return tmp_path


def test_compiled_code_is_kept_and_need_not_be_whole(folder, monkeypatch):
    (folder / "convnd-0123456789abcdef-of-other-sources.bin").write_bytes(b"old")
    (folder / "somebody's").write_bytes(b"own")
    assert compiled(division)(7, 3) == division(7, 3)
    mine = sorted(path.name for path in folder.glob("convnd-*"))
    assert len(mine) == 1 and len(list(folder.iterdir())) == 2
    whole = (folder / mine[0]).read_bytes()

    def fails(*_):
        raise AssertionError("compiled again")

    with monkeypatch.context() as patch:
        patch.setattr(machine.compiler, "emit", fails)
        assert compiled(division)(-7, 3) == division(-7, 3)
        for data in (b"", whole[:100], whole[:-1] + b"?"):
            (folder / mine[0]).write_bytes(data)
            with pytest.raises(AssertionError, match="compiled again"):
                compiled(division)
    assert compiled(division)(7, -3) == division(7, -3)
    assert (folder / mine[0]).read_bytes()[:-1] == whole[:-1]


def test_the_folder_is_bounded(folder, monkeypatch):
    monkeypatch.setattr(disk, "_MOST", 5)
    for n in range(12):
        disk.save(str(n), b"code")
    assert len(list(folder.iterdir())) == 5
    assert disk.load("11") == b"code"


def test_a_folder_that_cannot_be_written(folder, monkeypatch):
    monkeypatch.setattr(disk.tempfile, "mkstemp", lambda **_: (_ for _ in ()).throw(PermissionError()))
    assert compiled(division)(7, 3) == division(7, 3)
    assert not list(folder.iterdir())
