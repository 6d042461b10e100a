"""What runs inside a replica: one model behind the Open Inference Protocol v2 and plain JSON.

One data plane (`batching`) stands behind every protocol; the runtimes are small and alike.
"""
