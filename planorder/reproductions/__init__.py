"""The tables and figures of Kim et al. (arXiv:2502.06768) done again: what they publish, and how we do it."""
