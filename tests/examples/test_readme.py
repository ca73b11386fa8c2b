"""The README does what it says: its two commands are two commands, its code runs."""

import re
import shlex
import textwrap
from pathlib import Path

import pytest

import convnd
from support import ROOT

BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)


def test_first_block_is_two_commands():
    language, text = BLOCKS[0]
    assert language == "bash"
    example, tests = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert "examples/process_scan.py" in shlex.split(example)
    assert shlex.split(tests)[-1] == "pytest"
    for command in example, tests:  # each enough alone
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")


PYTHON = [text for language, text in BLOCKS if language == "python"]


@pytest.mark.parametrize("code", ["".join(PYTHON[:3]), *PYTHON[3:]])  # the three calls are one piece
def test_code_runs(code):
    exec(compile(code, "README.md", "exec"), {})


@pytest.mark.parametrize(("name", "source"), [("index", "jit/index.py"), ("kernel", "jit/kernels.py")])
def test_code_shown_is_the_code(name, source):
    shown = re.search(rf"<!-- {name}:begin -->\n```py\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    code = (Path(convnd.__file__).parent / source).read_text()
    assert shown in code or textwrap.indent(shown, "    ") in code
