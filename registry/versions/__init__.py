"""Versions: immutable manifests, and the one mutable thing about them, where each stands.

lifecycle     the transition table and `advance`
tables        the rows
statements    reading signed statements about a version
submission    what the training service submits, checked and stored
withdrawal    a consent ends, and what rests on it is suspended
service       load, resolve, hold, transitions
routes        submissions, lists of versions, concepts with their approved version, withdrawals
"""
