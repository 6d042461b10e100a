"""Deploy, serve, scale and observe models; embedded (processes) or on Kubernetes.

This component knows nothing of algorithms: a model is packaged (`package`), described (`spec`), served by
replicas (`serve`, one process each) that a backend starts and supervises (`deploy`), and found by name
(`endpoints`). Importing it is cheap: scikit-learn and numpy are loaded only where a model is.
"""
