"""Options that sub-commands share, groups of them, and how values are parsed."""
