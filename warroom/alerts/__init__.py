"""Alerts: detectors over minute figures, the rules that judge what they find, what is told, and where it goes."""
