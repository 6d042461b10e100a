"""Use cases over plans, runs, records and stores, for the API, the worker and the CLI. It knows no HTTP."""
