"""What marking, finding and explaining an image cost, apart from the tests that they are right.

marking      one picture of 512 pixels: watermark, fingerprints, credentials; encoding it as PNG
looking_up   near fingerprints among many, in a real PostgreSQL
surviving    which copies still lead back, by watermark and by fingerprint
telling_apart  which copies fingerprints find, and which strangers they take for copies
attention    what it costs to keep attention while drawing on the base model that ships
pictures     what is marked; `nearness`, fingerprints compared at once

python -m benchmarks.credentials [--fingerprints 1000000] [--repeat 15] [--copies 12] [--only NAME]
"""
