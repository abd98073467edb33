"""Annotation symbols, and the classes of beats that they stand for."""

# WFDB's annotation symbols (physionet.org/physiobank/annotations.shtml) by class, in the paper's order.
CLASSES = {
    "paper": {"NOR": "N", "PVC": "V", "PAB": "/", "RBB": "R", "LBB": "L", "APC": "A", "VFW": "!", "VEB": "E"},
    "aami": {"N": "NLRBejn", "S": "AaJS", "V": "VEr", "F": "F", "Q": "/fQ?"},
}
# All symbols that mark a beat, whatever classes are asked for.
BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?!")


def symbol_classes(scheme: str) -> dict[str, str]:
    """Return the class of each annotation symbol under ``scheme`` ("paper" or "aami")."""
    return {symbol: name for name, symbols in CLASSES[scheme].items() for symbol in symbols}


def normal_classes(classes: list[str]) -> list[str]:
    """Return the class of normal beats, which the paper does not augment: NOR or AAMI's N, if it is there."""
    return [name for name in classes if name in (next(iter(scheme)) for scheme in CLASSES.values())]
