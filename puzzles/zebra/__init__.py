"""Zebra (Einstein) puzzles: clue language, kernels on bit masks, solvers, generator, symmetries, files."""
