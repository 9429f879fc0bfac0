"""What decides the order of an attempt: recorded outcomes, new ones, and timers, each delivered once the run rests."""
