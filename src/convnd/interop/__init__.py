"""Arrays that are elsewhere: on disk, in chunks, in a stream, and those of dask and xarray."""
