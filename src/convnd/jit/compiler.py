"""Functions of whole numbers, compiled straight to machine code.

What orders the tiles is plain Python over whole numbers, tuples of them and records of them. Numba takes seconds to
infer types that are all the same, so its front end is left out: the syntax tree becomes LLVM's in one pass, every
function that is called in line, and Numba's code generator does the rest. What is known beforehand (the number of axes,
closures, lengths of tuples) is worked out while compiling: loops over axes are unrolled.

The subset: ``if``, ``while``, ``for`` over a `range`, a tuple or its `enumerate`; assignment, also of tuples and to
fields; arithmetic and comparison; `len`, `min`, the words of `expressions`, Numba's intrinsics, and functions of
the subset. It means what it means in Python, but for the 64 bits of a number.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from llvmlite import ir

from .expressions import I64, Expressions


def emit(builder: ir.IRBuilder, function: Callable[..., Any], arguments: list[Any]) -> Any:
    """Emit a call of a function of the subset, in line; return its result."""
    return _Scope(builder, function, arguments).run()


@lru_cache(maxsize=256)
def _parsed(code: Any) -> tuple[ast.FunctionDef, Counter[str]]:
    """Return the syntax tree of a function, and how often its names are assigned."""
    try:
        source = inspect.getsource(code)
    except OSError as error:
        raise RuntimeError("convnd compiles its own sources: it must be installed with its .py files") from error
    (tree,) = ast.parse(textwrap.dedent(source)).body
    assert isinstance(tree, ast.FunctionDef)
    counts = Counter(n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    counts.update(
        n.target.id for n in ast.walk(tree) if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)
    )
    counts.update(argument.arg for argument in tree.args.args)
    return tree, counts


class _Scope(Expressions):
    """A function that is being emitted: its names, and the blocks that its statements may leave for."""

    def __init__(self, builder: ir.IRBuilder, function: Callable[..., Any], arguments: list[Any]) -> None:
        self.b, self.function = builder, function
        self.tree, assigned = _parsed(function.__code__)
        self.assigned = assigned.copy()
        closure = inspect.getclosurevars(function)
        self.outer = {**closure.builtins, **closure.globals, **closure.nonlocals}
        self.names: dict[str, Any] = {}
        self.slots: dict[str, Any] = {}
        self.loops: list[tuple[Any, Any]] = []  # where `continue` and `break` go
        self.end: Any = None
        self.result: Any = None
        for argument, value in zip(self.tree.args.args, arguments, strict=True):
            self.assign(argument.arg, value)

    def run(self) -> Any:
        """Emit the body; return the result."""
        *body, last = self.tree.body
        returns = sum(isinstance(n, ast.Return) for n in ast.walk(self.tree))
        if returns == 0 or (returns == 1 and isinstance(last, ast.Return)):
            self.block(body if returns else self.tree.body)
            return self.value(last.value) if returns and last.value else None  # type: ignore[attr-defined]
        self.end = self.b.append_basic_block("end")
        self.block(self.tree.body)
        self.go(self.end)
        self.b.position_at_end(self.end)
        return None if self.result is None else self.load(self.result)

    def inline(self, function: Callable[..., Any], arguments: list[Any]) -> Any:
        """Emit a function that is called."""
        return emit(self.b, function, arguments)

    def assign(self, name: str, value: Any) -> None:
        if self.assigned[name] == 1:
            self.names[name] = value
            return
        if name not in self.slots:
            self.slots[name] = self.slot(value)
        self.store(value, self.slots[name])

    def go(self, block: Any) -> None:
        if not self.b.block.is_terminated:
            self.b.branch(block)

    def block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            if self.b.block.is_terminated:
                return
            self.visit("do", statement)

    def do_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            self.value(node.value)

    def do_Assign(self, node: ast.Assign) -> None:
        self.target(node.targets[0], self.value(node.value))

    def do_AugAssign(self, node: ast.AugAssign) -> None:
        self.target(node.target, self.binary(node.op, self.value(node.target), self.value(node.value)))

    def target(self, node: ast.expr, value: Any) -> None:
        if isinstance(node, ast.Tuple):
            for part, own in zip(node.elts, value, strict=True):
                self.target(part, own)
        elif isinstance(node, ast.Attribute):
            self.b.store(self.number(value), self.field(self.value(node.value), node.attr))
        else:
            assert isinstance(node, ast.Name)
            self.assign(node.id, value)

    def do_Return(self, node: ast.Return) -> None:
        if node.value is not None:
            value = self.value(node.value)
            if self.result is None:
                self.result = self.slot(value)
            self.store(value, self.result)
        self.b.branch(self.end)

    def do_If(self, node: ast.If) -> None:
        test = self.truth(self.value(node.test))
        if isinstance(test, bool):
            self.block(node.body if test else node.orelse)
            return
        then, other, end = (self.b.append_basic_block() for _ in range(3))
        self.b.cbranch(test, then, other)
        for block, body in ((then, node.body), (other, node.orelse)):
            self.b.position_at_end(block)
            self.block(body)
            self.go(end)
        self.b.position_at_end(end)

    def do_While(self, node: ast.While) -> None:
        test, body, end = (self.b.append_basic_block() for _ in range(3))
        self.b.branch(test)
        self.b.position_at_end(test)
        self.b.cbranch(self.truth(self.value(node.test)), body, end)
        self.looped(node.body, body, test, end)
        self.go(test)
        self.b.position_at_end(end)

    def looped(self, statements: list[ast.stmt], body: Any, proceed: Any, end: Any) -> None:
        self.b.position_at_end(body)
        self.loops.append((proceed, end))
        self.block(statements)
        self.loops.pop()

    def do_For(self, node: ast.For) -> None:
        if isinstance(node.iter, ast.Call):
            arguments = [self.value(argument) for argument in node.iter.args]
            if any(isinstance(argument, ir.Value) for argument in arguments):
                self.count(node, *((0, *arguments) if len(arguments) == 1 else arguments))
                return
            values = self.value(node.iter.func)(*arguments)  # range or enumerate
        else:
            values = self.value(node.iter)
        end = self.b.append_basic_block()
        for value in values:
            proceed = self.b.append_basic_block()
            if isinstance(node.target, ast.Name):
                self.assigned[node.target.id] = 1  # a new name in every turn
            self.target(node.target, value)
            self.looped(node.body, self.b.block, proceed, end)
            self.go(proceed)
            self.b.position_at_end(proceed)
        self.go(end)
        self.b.position_at_end(end)

    def count(self, node: ast.For, start: Any, stop: Any, step: Any = 1) -> None:
        """Emit a loop over a range whose ends are not known."""
        test, body, proceed, end = (self.b.append_basic_block() for _ in range(4))
        place = self.slot(0)
        self.store(start, place)
        stop, step = self.number(stop), self.number(step)
        self.b.branch(test)
        self.b.position_at_end(test)
        index = self.load(place)
        zero = ir.Constant(I64, 0)
        up = self.b.and_(self.b.icmp_signed(">", step, zero), self.b.icmp_signed("<", index, stop))
        down = self.b.and_(self.b.icmp_signed("<", step, zero), self.b.icmp_signed(">", index, stop))
        self.b.cbranch(self.b.or_(up, down), body, end)
        self.b.position_at_end(body)
        self.target(node.target, index)
        self.looped(node.body, self.b.block, proceed, end)
        self.go(proceed)
        self.b.position_at_end(proceed)
        self.store(self.b.add(self.load(place), step), place)
        self.b.branch(test)
        self.b.position_at_end(end)

    def do_Continue(self, node: ast.Continue) -> None:
        self.b.branch(self.loops[-1][0])

    def do_Break(self, node: ast.Break) -> None:
        self.b.branch(self.loops[-1][1])
