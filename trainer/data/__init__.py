"""Pictures and concepts in: decoding, checking and cropping, before anything is trained.

Files are read defensively: a format allow-list, a pixel limit checked before decoding, EXIF rotation honoured. Every
refusal names the file and the mend. Things that can be trained but will disappoint come back as warnings, as values.
Whether somebody consented to the pictures is not decided here.

values    concepts and pictures, as they are given and decoded
checks    what is refused before anything is decoded
pictures  files decoded and cut
warnings  what will disappoint
loading   all of it: `load_training_set`
"""

from trainer.data.checks import MAX_PICTURES, placeholder_tokens
from trainer.data.loading import load_training_set
from trainer.data.pictures import MAX_BYTES
from trainer.data.values import DEFAULT_CLASS_WORD, ConceptSpec, Picture, PictureSpec, TrainingSet, is_spatial

__all__ = [
    "DEFAULT_CLASS_WORD",
    "MAX_BYTES",
    "MAX_PICTURES",
    "ConceptSpec",
    "Picture",
    "PictureSpec",
    "TrainingSet",
    "is_spatial",
    "load_training_set",
    "placeholder_tokens",
]
