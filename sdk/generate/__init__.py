"""Generating pictures with learned concepts bound. Needs the extra `imprimatur[generate]`, except for the names below.

base_model   the digest that names a base model; no torch
scene        scene text with concepts in braces; no torch
tokens       learned tokens: their names, their files, binding them for one prompt
attribution  what a picture attended to while it was drawn
places       boxes and masks for concepts, as people give them; no torch
photo        a photo that is drawn into, as people give it; no torch
layout       regional prompts in cross-attention, and less attention between places
schedulers   diffusers' schedulers by name
editing      drawing into a photo: image to image, inpainting
pipeline     loading a base model once
drawing      generating under seeds, in batches
"""
