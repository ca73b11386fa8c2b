"""Methods that transform windows and filters: FFT and Winograd."""
