"""The append-only Merkle log: RFC 6962 tree, C2SP tlog-tiles read API, signed checkpoints.

tables      entries and node hashes, inserted only
tree        which stored nodes make a root, a proof, a new leaf
service     append
proofs      receipts, checkpoints, consistency
witnesses   asking witnesses to cosign the checkpoint
query       entries by event, subject, actor; tiles and entry bundles
routes      /v1/log/...

index = append(session, runtime, event=..., actor=..., subject=...)     # in the act's own transaction
proof = receipt(runtime, index)                                         # after it was committed
"""
