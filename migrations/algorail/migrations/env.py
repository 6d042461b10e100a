"""What Alembic runs for every command; the connection comes from `history`."""

from alembic import context

from algorail.migrations.history import options

context.configure(connection=context.config.attributes["connection"], **options())
with context.begin_transaction():
    context.run_migrations()
