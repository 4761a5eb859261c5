"""The live snapshot of a brand: computed about once a second for all who watch, whatever their number."""
