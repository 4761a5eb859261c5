"""What each release promised: its schemas, examples and programs, kept as they were, for the tests to hold today's against."""
