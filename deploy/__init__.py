"""How rflow runs: the command, the one-machine stack, images and configuration."""
