"""The canonical form of values: one text for equal values, from which fingerprints are taken."""
