"""What Numba has no word for, as intrinsics: the only folder that speaks LLVM."""
