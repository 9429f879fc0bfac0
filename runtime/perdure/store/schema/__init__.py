"""The schema `perdure`: its tables, functions and migrations, and which versions work together."""
