"""Measures of the code's structure, by which `make structure` says how far it is from its aims."""
