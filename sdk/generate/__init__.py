"""Generating pictures with learned concepts bound. Needs the extra `imprimatur[generate]`, except for the names below.

base_model   the digest that names a base model; no torch
scene        scene text with concepts in braces; no torch
tokens       learned tokens: their names, their files, binding them for one prompt
attribution  what a picture attended to while it was drawn
layout       boxes for concepts: regional prompts in cross-attention; its values need no torch
pipeline     loading a base model once, generating under a seed
"""
