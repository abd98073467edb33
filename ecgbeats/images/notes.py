"""What must stand beside every result on images that are not of recordings as they were."""

from collections.abc import Mapping

from ecgbeats.command import SIMULATED_NOTICE


def note_of(description: Mapping) -> str | None:
    """Return that note, if any; ``description`` has ``simulated`` and ``made`` as dataset.json and config.json do."""
    notes = [SIMULATED_NOTICE] if description.get("simulated") else []
    if made := description.get("made"):
        notes.append(f"MADE, not as recorded: {made}")
    return "; ".join(notes) or None
