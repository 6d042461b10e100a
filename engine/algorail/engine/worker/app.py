"""The Celery application of worker processes: `celery -A algorail.engine.worker.app worker --pool threads`.

`algorail worker` is the same with the options that fit. The pool of threads fits best: the runs of one
process share its engine, its connections and its commits.
"""

from __future__ import annotations

from algorail.engine.service.engine import Engine
from algorail.engine.service.settings import Settings
from algorail.engine.worker.broker import celery_app
from algorail.engine.worker.tasks import serve_runs

settings = Settings()
app = celery_app(settings.engine.broker_url, deadline=settings.engine.async_deadline)
serve_runs(app, lambda: Engine(settings))
