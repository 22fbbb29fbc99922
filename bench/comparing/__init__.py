"""What `compare.py` is made of: builds of two commits, their workers, a table of the times."""
