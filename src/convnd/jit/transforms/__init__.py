"""What windows go through in place of the register tile, compiled: transforms, and sums along one axis."""
