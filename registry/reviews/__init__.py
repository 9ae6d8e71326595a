"""Review as work: what waits, who is to look at it until when, and what is said about it. Nothing is decided here.

tables      assignments and comments
service     asking for a review, assigning, commenting
query       the queue, a version's comments
routes      the same over HTTP
"""
