"""Assignment, exposure, statistics and guardrails as pure functions. It knows nothing of algorithms."""
