"""The image's own steps, carried out where there is no container engine."""
