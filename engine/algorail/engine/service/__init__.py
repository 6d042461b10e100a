"""Use cases over plans, runs, records and stores: what the API, the worker and the CLI call. It knows no HTTP."""
