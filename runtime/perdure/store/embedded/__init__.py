"""The embedded Postgres: started for the commands of one user, or served on the network for a trial."""
