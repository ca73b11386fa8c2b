"""The README and the pages of `docs` do what they say: two commands are two commands, code runs."""

import re
import shlex
import textwrap
from pathlib import Path

import pytest

import convnd
from support import ROOT

PAGES = {path.name: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*/*.md")))}
BLOCKS = {
    name: re.findall(r"^```(\w*)\n(.*?)^```$\n*((?:^    [^\n]*\n)*)", text, re.M | re.S) for name, text in PAGES.items()
}


def test_first_block_is_two_commands():
    language, text, _ = BLOCKS["README.md"][0]
    assert language == "bash"
    example, tests = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert "examples/process_scan.py" in shlex.split(example)
    assert shlex.split(tests)[-6:-4] == ["-m", "pytest"]
    for command in example, tests:  # each enough alone
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")


PYTHON = [(name, *block[1:]) for name, blocks in BLOCKS.items() for block in blocks if block[0] == "python"]
CODE = [
    # The README's function holds in the default run that a parallel one compiles, which takes seconds.
    pytest.param(*block, id=f"{block[0]}-{n}", marks=[pytest.mark.slow] * (block[0] == "inside-njit.md"))
    for n, block in enumerate(PYTHON)
]


@pytest.mark.parametrize("name, code, printed", CODE)
def test_code_runs(name, code, printed, capsys):
    """It prints what the page shows after it."""
    exec(compile(code, name, "exec"), {})
    if code.rstrip().splitlines()[-1].startswith("print("):
        assert capsys.readouterr().out == textwrap.dedent(printed)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page):
    folder = next((ROOT / "docs").glob(f"*/{page}"), ROOT / page).parent
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", PAGES[page]):
        assert (folder / link).exists(), link


SHOWN = [
    ("README.md", "index", "jit/index.py"),
    ("index-scheme.md", "index", "jit/index.py"),
    ("index-scheme.md", "kernel", "jit/parallel.py"),
]


@pytest.mark.parametrize("page, name, source", SHOWN)
def test_code_shown_is_the_code(page, name, source):
    shown = re.search(rf"<!-- {name}:begin -->\n```py\n(.*?)```", PAGES[page], re.S)[1]
    code = (Path(convnd.__file__).parent / source).read_text()
    assert shown in code or textwrap.indent(shown, "    ") in code
