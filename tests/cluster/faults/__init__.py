"""Faults that tests inject, each a plain function or a block."""
