"""Experiments for new patients: cross-validation over the patients of DS1 and svdb together. DS2 is not read."""
