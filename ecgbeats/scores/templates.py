"""Pages from templates: how all of them are filled in."""

from pathlib import Path


def environment(folder: Path):
    """Return a jinja2.Environment for the templates of a folder: what values hold is escaped, none may be missing."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
