"""Runs: devices, recipe, saved networks, and what a training writes into its folder. Knows nothing of scores.

The training itself is train_keras.py, which puts these together.
"""
