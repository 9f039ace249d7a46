"""Rules that ask the model about the states after a move, and the oracle that knows the solution.

Decoders that keep more than one state a puzzle are functions of their own: `beam` searches over orders,
`particles` has votes and the best of n. Left out: tree search (McDiffuSE, arXiv:2602.12586) and particles
that are resampled on the way (arXiv:2602.01849).
"""

from __future__ import annotations

from planorder.decoding import orders, planners
from planorder.decoding.lookahead import LookAhead
from planorder.decoding.strategies import Strategy

PRESETS: dict[str, Strategy] = {
    "info_gain": Strategy(
        "info_gain",
        LookAhead(candidates=8, weight=1.0, temperature=0.2, bypass=0.8),
        source="arXiv:2602.18176 (Info-Gain)",
        description="of 8 cells drawn by p1 / 0.2 + Gumbel the one of largest -H(cell) - mean H(blanks left "
        "after it); the surest one where all blanks have p1 >= 0.8",
        departures="8 different cells, where the source may draw one twice; a bypass saves no pass; no "
        "blocks, no beam; the pass of the chosen state is taken again",
        cost="9 n",
    ),
    "lookum": Strategy(
        "lookum",
        LookAhead(candidates=3, weight=0.0, temperature=0.2),
        source="arXiv:2511.05563 (LookUM)",
        description="of 3 cells drawn by p1 / 0.2 + Gumbel the one that leaves the least mean entropy",
        departures="one step deep and the best, where the source resamples whole paths by that certainty",
        cost="4 n",
    ),
    "lookahead_margin": Strategy(
        "lookahead_margin",
        LookAhead(candidates=4, weight=0.0, propose=orders.TopMargin()),
        source="top_margin (arXiv:2502.06768) with the certainty of arXiv:2511.05563",
        description="of the 4 cells of largest p1 - p2 the one that leaves the least mean entropy",
        departures="no published rule of its own: the greedy half of look-ahead, without chance",
        cost="5 n",
    ),
    "oracle_margin": Strategy(
        "oracle_margin",
        planners.oracle_margin,
        source="arXiv:2602.09501 (Where-to-Unmask, Gt-Margin)",
        description="the blank of largest p(solution) - p(likeliest other); likeliest value; needs solutions",
        departures="an oracle, not a decoder: it says what an order could be worth",
        cost="n",
    ),
}
