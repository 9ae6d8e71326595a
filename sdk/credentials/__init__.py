"""Content Credentials: who made an image, with which concept versions, under which approval. C2PA 2.x and IPTC.

authority     a local certificate authority, which issues signing certificates on demand
signer        certificate chain, key and time stamps: what signs
concept_use   the assertion that names versions, consents, approvals, policy bundle and generation
manifest_store  putting a signed manifest into a PNG, with its ingredients
mark          encode a picture as PNG and sign it; `sample`, the same for a picture drawn in training
fingerprint   256 bits that a recompressed, resized or cropped copy of a picture keeps
watermark     a random id in the picture itself; `bch`, the code that mends it
framing       the pictures in a screenshot
lookup        what the registry is asked about a picture that was found
read          read an image's credentials back and say how far they can be trusted

png = mark_image(encode_png(image), use, load_credential_signer(folder, holder=..., now=...))
verify_credentials(png, trust.credential_authorities).use.generation
"""
