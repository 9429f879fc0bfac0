"""Where the controller learns of changes: watches, notifications of the store, and counters of processes."""
