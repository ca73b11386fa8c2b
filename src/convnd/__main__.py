"""Print the plan of a problem in text form: ``python -m convnd "float32 3500x3500 * 9x9 same reflect"``."""

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from .api import plan
from .problem.arguments.names import CHOICES
from .problem.request import imagined
from .problem_text import FORM, parse
from .problem_text import __doc__ as form_of_problems


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m convnd", description=form_of_problems, formatter_class=form)
    parser.add_argument("problem", help=FORM)
    parser.add_argument("--method", default="auto", help=f"{', '.join(CHOICES['method'])} (default: auto)")
    parser.add_argument("--workers", type=int, help="threads (default: all)")
    args = parser.parse_args(argv)
    try:
        problem = parse(args.problem)
        dtype = np.dtype(problem.dtype)
        x = imagined(problem.shape[::-1], dtype).T if problem.fortran else imagined(problem.shape, dtype)
        print(plan(x, problem.weights(), **problem.keywords(), method=args.method, workers=args.workers))
    except (TypeError, ValueError, MemoryError, OverflowError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
