"""Transforms of windows and filters, compiled: Fourier's and Winograd's."""
