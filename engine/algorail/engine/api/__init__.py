"""The REST interface: routes, policies, problem documents. It decides nothing that the services decide."""
