"""The promotions' desk: who changes a promotion, in what order, and how all others hear of it."""
