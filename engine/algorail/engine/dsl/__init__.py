"""The Python DSL: a typed function becomes a plan, and a plan becomes Python again."""
