"""`python -m deploy`: the same as `rflow`, for processes that the stack starts."""

from deploy.cli import main

main()
