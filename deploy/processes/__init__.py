"""The long-running processes, one a file: what each needs to know of the settings, and its life until SIGTERM or Ctrl-C."""
