"""Exceptions as data: recorded once, and rebuilt from the record on first execution as on every replay."""
