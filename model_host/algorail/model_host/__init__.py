"""Deploys, serves, scales and observes models. It knows nothing of algorithms."""
