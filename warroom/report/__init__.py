"""The report after the day: one self-contained HTML file, to be read, printed and kept."""
