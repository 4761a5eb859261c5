"""What `rflow doctor` looks at: is everything there, does it fit together, is anything at risk? One module a part of the deployment."""
