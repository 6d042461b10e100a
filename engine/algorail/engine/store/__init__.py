"""Tables and stores: SQLite embedded, PostgreSQL at scale, one Protocol. It knows no web and no blocks."""
