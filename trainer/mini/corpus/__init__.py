"""The corpus: sources, vocabulary, sprites, textures, scenes, photos, compose, captions, pool."""
