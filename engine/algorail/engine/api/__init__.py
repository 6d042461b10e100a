"""The FastAPI application: routes, authentication, problem documents. The composition root of the server."""
