"""From decoded cells to rows, intervals, tests, tables, figures and run folders; needs no torch."""
