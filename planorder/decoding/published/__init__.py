"""Every published rule by name, each one line of composition; `planorder orders` lists them.

Published, but not here:

- samplers for uniform noise (D3PM, UDLM, Duo, GIDD; the EntropyBound of diffusers, which puts random values
  where it is unsure) and samplers that insert cells (FlexMDM): a masked model of fixed length has no use for
  them;
- ``adaptive_dynamic`` (VAST-UVA/dLLM_Reason): no paper states it, and it keeps a number for every two cells;
- the tie-break of tchauffi/nonet by the number of legal values: it needs the puzzle's rules;
- local-coherence and Jacobi decoding, deferred commitment (arXiv:2601.02076): not stated exactly enough;
- a given order and a given graph of dependencies: `fixed_orders.given_order` and `blocks.GivenDag` make them.
"""

from __future__ import annotations

from planorder.decoding.published import adaptive, basic, correctors, lookahead, routing, sampling, scores
from planorder.decoding.strategies import Strategy

PRESETS: dict[str, Strategy] = {
    **basic.PRESETS,
    **sampling.PRESETS,
    **scores.PRESETS,
    **adaptive.PRESETS,
    **routing.PRESETS,
    **correctors.PRESETS,
    **lookahead.PRESETS,
}
"""All strategies by name."""
