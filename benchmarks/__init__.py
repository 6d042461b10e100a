"""Benchmarks: see `harness`."""
