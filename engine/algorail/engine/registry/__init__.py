"""Finds block kinds: built in, installed by entry point, or packed in a code bundle."""
