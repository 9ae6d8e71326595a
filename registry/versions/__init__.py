"""Versions: immutable manifests, and the one mutable thing about them, where each stands.

lifecycle     the transition table and `advance`
tables        the rows
statements    reading signed statements about a version
submission    what the training service submits, checked and stored
requests      asking for the review of a draft
break_glass   what two people opened before its approval: the rows
renewal       asking for other terms, and letting them hold
renewal_reading  where renewals stand
renewal_tables   their rows
withdrawal    a consent ends, and what rests on it is suspended
reinstatement its consents hold again, and it is approved again
aliases       setting aliases, several at once, compare and swap
history       what stood at a moment: statuses and aliases
moment        a reference, as it was at a moment
service       load, resolve, hold, transitions
path          how a route names a version
routes        submissions, aliases, history, lists of versions, concepts with their approved version, withdrawals
"""
