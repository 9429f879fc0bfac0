"""Threads of a workflow: its pools, their futures and waits, and what guards threads that are not its own."""
