"""Connections to Postgres: opening them, what their errors mean, named statements, and calls through libpq."""
