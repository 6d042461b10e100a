"""Algorithms: typed DAGs of blocks, published as immutable versions, run and recorded."""
