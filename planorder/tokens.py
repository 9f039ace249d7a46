"""Cells as tokens: 0 is MASK and value ``v`` of a family (counted from 1) is token ``v``.

Families write a blank as 0, so puzzles are token arrays as they stand; a network's output has no MASK
entry, so that value ``v`` is logit ``v - 1`` and MASK can never be emitted.
"""

MASK = 0
