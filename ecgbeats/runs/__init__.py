"""Runs: devices, recipe, and what a training writes into its folder. Knows nothing of scores."""
