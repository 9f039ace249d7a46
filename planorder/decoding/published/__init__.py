"""Every published rule by name, each one line of composition; `planorder orders` lists them.

Published, but not here, since a masked model of fixed length has no use for it:

- samplers for uniform noise (D3PM, UDLM, Duo, GIDD; the EntropyBound of diffusers, which puts random values
  where it is unsure) and samplers that insert cells (FlexMDM).

Since it needs a network that was taught for it, beside or instead of the masked one:

- RemeDi, which remasks by a confidence taught along with the network; `learned.LowestQuality` (PRISM) has a
  head beside a frozen one;
- the planner of P2 (arXiv:2502.03540) and of DDPD (arXiv:2410.06264), which score filled cells by a second
  network; `planners.PathScore` has P2's scores without one;
- ProSeCo (arXiv:2602.11590), whose network is taught to correct its own likeliest values;
- DPRM (arXiv:2604.24357), which adds rewards of partial states learned in training;
- orders learned together with the network or by reinforcement (DCoLT, arXiv:2505.10446; arXiv:2512.09106;
  LoMDM, arXiv:2602.02112); `learned` teaches a head beside it.

Since it is a search over several states, each with a cost of its own, or a recursive model's:

- Prism (arXiv:2602.01842), a hierarchical search over trajectories with a verifier, known from its README;
- tree search (McDiffuSE, arXiv:2602.12586) and resampled particles (arXiv:2602.01849); `beam` and `particles`
  have what is simpler; PTRM (arXiv:2605.19943), the best of 100 runs of a recursive model.

Since it is not stated exactly enough, or needs what no view has:

- A-CFG (arXiv:2505.20199), guidance by a pass without the least sure cells: known second-hand;
- local-coherence and Jacobi decoding, deferred commitment (arXiv:2601.02076), CoRe (arXiv:2602.04096), T2M
  (arXiv:2604.18738), Saber (arXiv:2510.18165).

Since it is here already, or a line of the user's:

- a given order and a given graph of dependencies: `fixed_orders.given_order` and `blocks.GivenDag` make them;
  the tie-break of tchauffi/nonet, which needs the puzzle's rules: `influence.fewest_legal`.
  ``adaptive_dag`` (VAST-UVA/dLLM_Reason) is that graph too: its way round it opens where no cell is ready,
  which an acyclic graph never meets;
- the sampler ``mean`` of MD4 is ``vanilla_cosine``: value and opening are drawn apart, which is the same law;
- other thresholds of KLASS: ``klass`` with ``adaptive.Stable(tau, epsilon)`` in its order and budget.
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
