"""How direct sums are cut into tiles: layouts and their costs, tap tables, packed weights, tables for compiled code."""
