"""Records: what one is, its annotations and classes, and where records come from. Knows nothing of images."""
