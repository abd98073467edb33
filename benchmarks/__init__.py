"""How fast everything is, and what bounds it: see README.md."""
