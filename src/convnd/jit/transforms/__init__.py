"""What windows go through in place of the register tile, compiled: transforms, and moving sums."""
