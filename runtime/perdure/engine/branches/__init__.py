"""The attempt, and what each of its branches has: keys, the current call, outcomes that are yet to be stored."""
