"""What touches samples, compiled: gather, tiles, lines, transforms, threads. No decisions."""
