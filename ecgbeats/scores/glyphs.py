"""Characters that Matplotlib's own font lacks, such as Chinese ones: where another font has them, and else instead of them."""

import functools


def with_glyphs(text: str, instead: str | None = None) -> str:
    """Return a text as figures can print it.

    Characters that the fonts in use lack are taken from another one that is installed, which all texts fall back on
    from then on. A text with a character that no font has becomes ``instead``, or without one the number stands for
    the character, such as ``\\u6b63``: so names stay different.
    """
    if text.isascii():
        return text
    from matplotlib import font_manager, rcParams

    families = list(rcParams["font.family"])
    missing = {ord(character) for character in text} - {ord("\n")}
    for family in families:
        missing -= _characters(family)
    # In the order of their names, so that it is the same one each time. The last resort has boxes alone.
    installed = {font.name for font in font_manager.fontManager.ttflist} if missing else ()
    for family in sorted(name for name in installed if not name.startswith("Last Resort")):
        if found := missing & _characters(family):
            families.append(family)
            missing -= found
    rcParams["font.family"] = families
    if missing and instead:
        return instead
    return "".join(c.encode("ascii", "backslashreplace").decode() if ord(c) in missing else c for c in text)


@functools.cache
def _characters(family: str) -> frozenset[int]:
    """Return the code points that the font has which Matplotlib takes for a family."""
    from matplotlib import font_manager

    try:
        font = font_manager.findfont(font_manager.FontProperties(family=[family]))
        return frozenset(font_manager.get_font(font).get_charmap())
    except (OSError, RuntimeError, ValueError):  # no font that Matplotlib can read
        return frozenset()
