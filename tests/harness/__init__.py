"""Real servers, real processes and the faults that tests put them through."""
