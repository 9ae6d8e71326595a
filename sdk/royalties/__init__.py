"""Royalties from receipts alone: whoever has a ledger and the trust root computes what is owed, without the registry.

receipts    from a page of a ledger to the uses that it proves
ledger      a ledger file: writing it, verifying it, what is missing from it
account     the arithmetic: from counted use and royalty terms to an account
report      the accounts of a ledger, and how another report differs
statement   a statement for the rights holder, as a value and as CSV; statement_pdf prints it, statement_words says it

ledger = verify_ledger(path.read_bytes(), trust)
report_of(ledger, now=now).accounts[0].due
"""
