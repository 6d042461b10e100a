"""The bottom layer: errors, clocks, ids and strict JSON. It knows nothing of plans, models or experiments."""
