"""Postgres, as Perdure uses it: the only package that speaks SQL."""
