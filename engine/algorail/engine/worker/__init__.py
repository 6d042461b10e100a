"""Workers of asynchronous runs: in the API process, or as Celery processes beside it.

The row in the database is the truth; a broker only carries hints. It knows nothing of HTTP.
"""
