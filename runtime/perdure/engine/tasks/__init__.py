"""Async workflows: the event loop in which their tasks run."""
