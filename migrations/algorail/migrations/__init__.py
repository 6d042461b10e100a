"""One Alembic history for all tables; usable from code, without an ini file.

upgrade(engine)      bring a database to the newest revision (safe when several processes start at once)
check(engine)        what the tables still differ from the models, empty if nothing
downgrade(engine)    take revisions back
is_current(engine)   whether the database stands at the newest revision
"""

from algorail.migrations.history import check, downgrade, head, is_current, revise, revision, upgrade

__all__ = ["check", "downgrade", "head", "is_current", "revise", "revision", "upgrade"]
