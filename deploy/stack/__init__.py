"""The servers of a one-machine stack and the supervisor that keeps them up."""
