"""Calls of steps: the body, its tries, its transaction, and the wait for the outcome's turn."""
