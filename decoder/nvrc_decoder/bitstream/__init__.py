"""Container and syntax: streams to units and back (spec chapters 2 and 3)."""
