"""Generations: who composed what with which versions, for what, and what came of it. Refusals are recorded too.

tables      the rows
service     the intent and its decision of record
results     the result
records     attempts as they were recorded
meaning     whether references still mean the versions of an intent
grants      the signed grant of a permit
quota       images granted under each licence
release     artefacts, to the application that was permitted, while it is
images      images of a result, put where they are found again
identify    which image on record a picture is, or looks like
query       generations as they travel, and who may read them
usage       how much was used
ledger      receipts of use with their proofs
royalties   what is due under licences
denials     refused attempts, also for the subject
routes      /v1/generations
accounting  /v1/royalties, /v1/denials
"""
