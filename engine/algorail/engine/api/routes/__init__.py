"""The management routes, one module a noun. They translate; the services decide."""
