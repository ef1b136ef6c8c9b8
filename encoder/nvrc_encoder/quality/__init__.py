"""How near decoded frames are to the source."""
