"""Alembic's migrations of the state database; `state.database` runs them on opening."""
