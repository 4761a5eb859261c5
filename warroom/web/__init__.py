"""The REST API of the war room."""
