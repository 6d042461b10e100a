"""A plan is data: the DAG as a document, its types, its checks. It runs nothing and imports no framework."""
