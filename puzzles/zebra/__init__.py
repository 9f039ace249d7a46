"""Zebra (Einstein) puzzles: the clue language, kernels on bit domains, solvers, generator, symmetries, files."""
