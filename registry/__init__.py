"""The registry: what is true about concepts, and the log that proves it.

settings     every limit and address, read once
errors       errors to RFC 9457 problem documents
db           declarative base, engine, migrations
storage      blobs by digest
runtime      everything with effects, as one value
auth         credentials and callers
idempotency  a POST sent again is done once
blobs        who holds which blob, and its routes
about        health, trust root, whoami, policies
log          the append-only Merkle log everything else writes to
issuance     opening the log, issuing credentials
concepts, consent, versions, approvals, generations      slices: routes, service, tables
openapi      the document of the API
app          the application
cli          `imprimatur init | up | down | registry serve`

app = create_app(runtime)
"""
