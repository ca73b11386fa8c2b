"""The processor that Numba compiles for: its vectors and registers.

They are found at import. LLVM holds a lock meanwhile, which the child of a fork in another thread would find taken.
"""

import llvmlite.binding as llvm
from numba import config


def _features() -> dict[str, bool]:
    if config.CPU_FEATURES is not None:
        return {name[1:]: name[0] == "+" for name in config.CPU_FEATURES.split(",") if name}
    if config.CPU_NAME == "generic":
        return {}
    found = dict(llvm.get_host_cpu_features())
    return found if config.ENABLE_AVX else {name: there and not name.startswith("avx") for name, there in found.items()}


_found = _features()
_is_wide = _found.get("avx512f", False)
_name = config.CPU_NAME or llvm.get_host_cpu_name()
_is_zen = _name.startswith("znver")
_AVX = ("avx2", "avx", "fma", "f16c")  # where LLVM has one of the last two it has AVX too, even where that is left out

CACHE_LINE = 64  # bytes
#: What code is compiled for, in words.
PROCESSOR = " ".join([_name, *sorted(name for name in _found if _found[name])])
IS_X86 = "x86" in llvm.get_default_triple()
#: Bytes of the widest vector that the processor multiplies.
VECTOR_BYTES = 64 if _is_wide else 32 if any(_found.get(name) for name in _AVX) else 16
#: How many of them it multiplies in a cycle: Zen 4 takes 512 bits in two halves.
VECTORS_MULTIPLIED = 1 if _is_wide and _name == "znver4" else 2
#: How many of them it loads in a cycle, as measured: an Ice Lake loads one of 64 bytes.
VECTORS_LOADED = 1 if _is_wide and not _is_zen else 2
#: Whether it has units that add beside those that multiply and add.
ADDS_BESIDE = _is_zen
#: Whether its third cache, which few cores share, is four times as fast as others, as measured.
HAS_NEAR_L3 = _is_zen
#: The number of vector registers.
VECTOR_REGISTERS = 32 if _is_wide or not IS_X86 else 16
