"""What tests share. pytest has `tests` on its path; a process that a test starts gets it by `PYTHONPATH`."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
