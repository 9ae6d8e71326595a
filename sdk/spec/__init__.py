"""The vocabulary that registry, SDK and trainer speak: pure values and encodings, no I/O, no clock.

ids             names of concepts, versions, principals, records
digest          sha256:<hex>
canonical       RFC 8785 bytes out, strict JSON in
envelope        DSSE
statements      in-toto statements: training, approval, rejection, revocation, generation, audit
manifest        what a concept version is
embedding_file  a learned embedding, checked before anything reads it
texts           short texts, pseudonyms
specific        whether an intended use is described specifically enough
terms           consent records and licence grants
money           amounts, percentages, currencies, never floats
royalty         what is owed under a licence, as data
consent_events  what happens to a consent after it was given, and its receipt
subjects        who a person behind a pseudonym is
policy          what a policy sees, what it answers
odrl            a licence as an ODRL 2.2 agreement
dpv             a consent receipt in the Data Privacy Vocabulary
log_entry       one logged fact, its receipt
merkle          RFC 6962 hashes and proofs
log_checkpoint  C2SP signed notes
log_tiles       C2SP tlog-tiles: paths, entry bundles
bundle          a version with all its proofs
api             HTTP bodies and the map of routes
usage           how much was used
fingerprint     256 bits that tell a picture again
"""
