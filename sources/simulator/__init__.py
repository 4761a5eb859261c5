"""A promotion day, made up: seeded touchpoints in the shape of a big sale, fit to be replayed or produced."""
