"""The processor that Numba compiles for: its vectors and registers."""

from __future__ import annotations

from functools import lru_cache

import llvmlite.binding as llvm
from numba import config

CACHE_LINE = 64  # bytes


@lru_cache(maxsize=1)
def _features() -> dict[str, bool]:
    if config.CPU_FEATURES is not None:
        return {name[1:]: name[0] == "+" for name in config.CPU_FEATURES.split(",") if name}
    if config.CPU_NAME == "generic":
        return {}
    return dict(llvm.get_host_cpu_features())


@lru_cache(maxsize=1)
def vector_bytes() -> int:
    """Return the bytes of the widest vector that the processor multiplies."""
    features = _features()
    return 64 if features.get("avx512f") else 32 if features.get("avx2") or features.get("avx") else 16


@lru_cache(maxsize=1)
def vector_registers() -> int:
    """Return the number of vector registers."""
    wide = _features().get("avx512f") or "x86" not in llvm.get_default_triple()
    return 32 if wide else 16
