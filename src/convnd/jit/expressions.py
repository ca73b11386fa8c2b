"""Expressions of compiled functions: values, and what `compiler` does with them.

Known numbers are Python's and are folded; others are LLVM's, 64 bits or one. Tuples are Python's, of either.
"""

from __future__ import annotations

import ast
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.extending import _Intrinsic

I64, BIT = ir.IntType(64), ir.IntType(1)

_FOLDED: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod, ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip
_ARITHMETIC = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and_", ast.BitOr: "or_", ast.BitXor: "xor"}
_COMPARISONS = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


@dataclass(frozen=True)
class Records:
    """Records at an address, all fields 64-bit whole numbers; ``count`` of them, where that is known."""

    address: Any
    dtype: np.dtype[Any]
    count: Any = None


@dataclass(frozen=True)
class Record:
    """One of them."""

    address: Any
    dtype: np.dtype[Any]


def with_element(values: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    """Return a tuple that has another element at ``index``."""
    return (*values[:index], value, *values[index + 1 :])


def records_at(address: int, count: int, dtype: np.dtype[Any]) -> Any:
    """Return the records at an address."""
    return Records(address, dtype, count)


def call_address(address: int, arguments: tuple[int, ...]) -> None:
    """Call the C function at an address."""
    raise NotImplementedError("call_address is a word of compiled functions")


class _Context:
    """What Numba's intrinsics ask of the context that they are compiled in."""

    @staticmethod
    def get_dummy_value() -> None:
        return None


class Expressions(ABC):
    """What emits the expressions of a function; names and statements are its subclass'.

    ``of_X`` emits a node ``X`` of the syntax tree and returns its value, ``call_f`` a call of ``f``.
    """

    b: ir.IRBuilder
    function: Callable[..., Any]
    names: dict[str, Any]  # of values
    slots: dict[str, Any]  # of room for values that change
    outer: dict[str, Any]  # what the function sees of its module and closure

    @abstractmethod
    def inline(self, function: Callable[..., Any], arguments: list[Any]) -> Any:
        """Emit a function that is called."""

    def visit(self, kind: str, node: Any) -> Any:
        """Emit a statement or an expression."""
        method = getattr(self, f"{kind}_{type(node).__name__}", None)
        if method is None:
            place = f"{self.function.__qualname__}, line {node.lineno}"
            raise NotImplementedError(f"{place}: {type(node).__name__} is beyond the subset of Python that is compiled")
        return method(node)

    def number(self, value: Any) -> Any:
        if isinstance(value, ir.Value):
            return self.b.zext(value, I64) if value.type == BIT else value
        return ir.Constant(I64, int(value))

    def truth(self, value: Any) -> Any:
        if isinstance(value, ir.Value):
            return value if value.type == BIT else self.b.icmp_signed("!=", value, ir.Constant(I64, 0))
        return bool(value)

    def slot(self, value: Any) -> Any:
        """Return room in memory for a value like this one; LLVM makes registers of it."""
        if isinstance(value, tuple):
            return tuple(self.slot(part) for part in value)
        if isinstance(value, Record):
            return Record(self.slot(value.address), value.dtype)
        with self.b.goto_entry_block():
            return self.b.alloca(I64)

    def store(self, value: Any, slot: Any) -> None:
        if isinstance(slot, tuple):
            for part, own in zip(value, slot, strict=True):
                self.store(part, own)
        elif isinstance(slot, Record):
            self.store(value.address, slot.address)
        else:
            self.b.store(self.number(value), slot)

    def load(self, slot: Any) -> Any:
        if isinstance(slot, tuple):
            return tuple(map(self.load, slot))
        if isinstance(slot, Record):
            return Record(self.load(slot.address), slot.dtype)
        return self.b.load(slot, typ=I64)

    def value(self, node: ast.expr) -> Any:
        return self.visit("of", node)

    def of_Constant(self, node: ast.Constant) -> Any:
        return node.value

    def of_Name(self, node: ast.Name) -> Any:
        if node.id in self.names:
            return self.names[node.id]
        return self.load(self.slots[node.id]) if node.id in self.slots else self.outer[node.id]

    def of_Tuple(self, node: ast.Tuple) -> Any:
        return tuple(map(self.value, node.elts))

    def of_Attribute(self, node: ast.Attribute) -> Any:
        return self.b.load(self.field(self.value(node.value), node.attr), typ=I64)

    def field(self, record: Record, name: str) -> Any:
        offset = record.dtype.fields[name][1]  # type: ignore[index]
        return self.b.inttoptr(self.b.add(record.address, ir.Constant(I64, offset)), ir.PointerType())

    def of_Subscript(self, node: ast.Subscript) -> Any:
        whole = self.value(node.value)
        if isinstance(node.slice, ast.Slice):
            first = self.value(node.slice.lower) if node.slice.lower else 0
            count = self.binary(ast.Sub(), self.value(node.slice.upper), first) if node.slice.upper else None
            return Records(self.element(whole, first), whole.dtype, count)
        index = self.value(node.slice)
        if isinstance(whole, Records):
            return Record(self.element(whole, index), whole.dtype)
        if not isinstance(index, ir.Value):
            return whole[index]
        chosen = self.number(whole[0])
        for k, part in enumerate(whole[1:], 1):
            chosen = self.b.select(self.b.icmp_signed("==", index, ir.Constant(I64, k)), self.number(part), chosen)
        return chosen

    def element(self, records: Records, index: Any) -> Any:
        return self.b.add(records.address, self.b.mul(self.number(index), ir.Constant(I64, records.dtype.itemsize)))

    def of_IfExp(self, node: ast.IfExp) -> Any:
        test = self.truth(self.value(node.test))
        if isinstance(test, bool):
            return self.value(node.body if test else node.orelse)
        return self.either(test, lambda: self.value(node.body), lambda: self.value(node.orelse))

    def either(self, test: Any, this: Callable[[], Any], that: Callable[[], Any]) -> Any:
        """Emit one of two values, each where it is wanted only."""
        then, other, end = (self.b.append_basic_block() for _ in range(3))
        self.b.cbranch(test, then, other)
        slot = None
        for block, value_of in ((then, this), (other, that)):
            self.b.position_at_end(block)
            value = value_of()
            slot = self.slot(value) if slot is None else slot
            self.store(value, slot)
            self.b.branch(end)
        self.b.position_at_end(end)
        return self.load(slot)

    def of_BoolOp(self, node: ast.BoolOp) -> Any:
        stops = isinstance(node.op, ast.Or)  # at the first value of this truth
        first, *rest = node.values
        value = self.truth(self.value(first))
        for operand in rest:
            if isinstance(value, bool):
                value = value if value == stops else self.truth(self.value(operand))
                continue

            def more(operand: ast.expr = operand) -> Any:
                return self.truth(self.value(operand))

            this, that = (lambda: stops, more) if stops else (more, lambda: stops)
            value = self.truth(self.either(value, this, that))
        return value

    def of_UnaryOp(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            truth = self.truth(value)
            return not truth if isinstance(truth, bool) else self.b.not_(truth)
        return self.b.neg(self.number(value)) if isinstance(value, ir.Value) else -value

    def of_Compare(self, node: ast.Compare) -> Any:
        values, result = [self.value(operand) for operand in (node.left, *node.comparators)], True
        for k, comparison in enumerate(node.ops):
            left, right = values[k], values[k + 1]
            if isinstance(left, ir.Value) or isinstance(right, ir.Value):
                sign = _COMPARISONS[type(comparison)]
                one: Any = self.b.icmp_signed(sign, self.number(left), self.number(right))
            else:
                one = _FOLDED[type(comparison)](left, right)
            result = one if result is True else result if one is True else self.b.and_(self.bit(result), self.bit(one))
        return result

    def bit(self, value: Any) -> Any:
        return ir.Constant(BIT, int(value)) if isinstance(value, bool) else value

    def of_BinOp(self, node: ast.BinOp) -> Any:
        return self.binary(node.op, self.value(node.left), self.value(node.right))

    def binary(self, op: ast.operator, left: Any, right: Any) -> Any:
        if not isinstance(left, ir.Value) and not isinstance(right, ir.Value):
            return _FOLDED[type(op)](left, right)
        b, left, right = self.b, self.number(left), self.number(right)
        if type(op) in _ARITHMETIC:
            return getattr(b, _ARITHMETIC[type(op)])(left, right)
        # Towards minus infinity, as in Python; LLVM rounds towards zero.
        zero, remainder = ir.Constant(I64, 0), b.srem(left, right)
        differ = b.icmp_signed("<", b.xor(remainder, right), zero)
        is_off = b.and_(b.icmp_signed("!=", remainder, zero), differ)
        if isinstance(op, ast.Mod):
            return b.select(is_off, b.add(remainder, right), remainder)
        return b.sub(b.sdiv(left, right), b.zext(is_off, I64))

    def of_Call(self, node: ast.Call) -> Any:
        function, arguments = self.value(node.func), [self.value(argument) for argument in node.args]
        own = getattr(self, f"call_{function.__name__}", None)
        if own is not None:
            return own(*arguments)
        if isinstance(function, _Intrinsic):
            return self.intrinsic(function, arguments)
        return self.inline(function, arguments)

    def intrinsic(self, function: Any, arguments: list[Any]) -> Any:
        """Emit one of Numba's intrinsics: text is literal, as are numbers where it says so."""
        literals = [
            types.literal(a) if isinstance(a, str) or (isinstance(a, int) and function._prefer_literal) else types.intp
            for a in arguments
        ]
        signature, codegen = function._defn(None, *literals)
        values = [None if isinstance(a, str) else self.number(a) for a in arguments]
        return codegen(_Context, self.b, signature, values)

    def call_len(self, values: tuple[Any, ...] | Records) -> Any:
        return values.count if isinstance(values, Records) else len(values)

    def call_min(self, left: Any, right: Any) -> Any:
        if not isinstance(left, ir.Value) and not isinstance(right, ir.Value):
            return min(left, right)
        left, right = self.number(left), self.number(right)
        return self.b.select(self.b.icmp_signed("<", right, left), right, left)

    def call_int(self, value: Any) -> Any:
        return self.number(value) if isinstance(value, ir.Value) else int(value)

    def call_with_element(self, values: tuple[Any, ...], index: Any, value: Any) -> tuple[Any, ...]:
        if not isinstance(index, ir.Value):
            return with_element(values, index, value)
        new = self.number(value)
        chosen = (self.b.icmp_signed("==", index, ir.Constant(I64, k)) for k in range(len(values)))
        return tuple(self.b.select(here, new, self.number(old)) for here, old in zip(chosen, values, strict=True))

    def call_records_at(self, address: Any, count: Any, dtype: np.dtype[Any]) -> Records:
        return records_at(address, count, dtype)

    def call_call_address(self, address: Any, arguments: tuple[Any, ...]) -> None:
        function = ir.FunctionType(ir.VoidType(), [I64] * len(arguments))
        self.b.call(self.b.inttoptr(address, function.as_pointer()), list(map(self.number, arguments)))
