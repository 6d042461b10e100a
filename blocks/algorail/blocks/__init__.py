"""The built-in blocks, one file each, unaware of one another."""
