"""Kernels that are short sums of outer products, as passes along one axis each."""
