"""Sudoku: kernels on bit masks, the logical solver, generator, symmetries and files."""
