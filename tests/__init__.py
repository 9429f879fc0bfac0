"""The tests: `unit`, `integration` and `chaos` mirror the source, `harness` holds what they share."""
