"""Puzzle families: rules, generators, solvers, symmetries and files; imports neither torch nor planorder."""
