"""Running one attempt of one run: steps, their order on replay, branches and threads."""
