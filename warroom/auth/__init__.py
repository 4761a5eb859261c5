"""Who may do what: users, tokens, sessions, throttling, masking, the audit log."""
