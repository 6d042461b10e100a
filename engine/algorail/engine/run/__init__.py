"""Running a plan: one compiled coroutine, retries, deadlines, a trace. It knows no storage and no web."""
