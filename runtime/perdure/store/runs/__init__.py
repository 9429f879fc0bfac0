"""Runs as their users see them: start, list, wait, cancel, delete."""
