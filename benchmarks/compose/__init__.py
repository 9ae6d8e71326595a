"""What governance costs a compose call: `make bench-compose`.

workspace   a real workspace with one approved version on the small base model, its registry in a process of its own
measures    the measurements: interleaved with bare diffusers calls of the same settings, in one run
__main__    the command; one line of JSON, and what each number is held to
"""
