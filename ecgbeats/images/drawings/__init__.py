"""The drawings by name: each a file with ``drawer(record)``, which returns the function that draws a beat.

That function takes the beat's index among the record's beats, and returns uint8 of shape (128, 128), 255 being the
background. It does not use the beats' symbols.
"""

from ecgbeats.images.drawings import paper, strips, typical, usual

# A drawing of your own is one more file beside these, and a line here.
DRAWINGS = {
    "paper": paper.drawer,
    "strips": strips.drawer,
    "typical": typical.drawer,
    "usual": usual.drawer,
}
