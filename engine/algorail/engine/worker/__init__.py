"""Runs that outlive a request: the durable queue and its executors."""
