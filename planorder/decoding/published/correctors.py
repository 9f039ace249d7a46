"""Rules that reopen filled cells: ReMDM and its relatives, a Gibbs corrector, draft and verify.

All but the last two are one step, `correctors.Remasking`, each with a sigma of its own: MDLM's is 0, that of
Psi-samplers (arXiv:2602.21185) on masks is (1 - kappa) (1 - alpha_s), and their modes "max-capped",
"max-rescale" and "constant-remdm" are ReMDM's cap, rescale and loop.
"""

from __future__ import annotations

from planorder.decoding import budgets, correctors, lookahead, orders, picks
from planorder.decoding.strategies import Strategy

REMDM = "arXiv:2503.00307"
STEPS = 128
"""The sources take 1,024 for texts of 1,024 tokens; eta belongs to a step, so that fewer reopen less."""
SHORTER = (
    f"{STEPS} steps, not 1,024; values from all of p, not a nucleus of 0.9; a row without blanks is done"
)


def remasking(
    name: str, process: correctors.Remasking, source: str, description: str, departures: str = SHORTER
) -> Strategy:
    """Ancestral sampling with remasking."""
    return Strategy(
        name,
        orders.random_order,
        budget=process.budget,
        pick=picks.Sample(1.0),
        remask=process.remask,
        steps=STEPS,
        source=source,
        description=f"{description}; blanks open by ReMDM's posterior, values are sampled",
        departures=departures,
        cost="up to T",
    )


LOOP = correctors.Loop()
WINO = lookahead.Wino()

PRESETS: dict[str, Strategy] = {
    "remdm_cap": remasking(
        "remdm_cap",
        correctors.Remasking(correctors.Cap(0.008)),
        f"{REMDM} (ReMDM-cap)",
        "masks each filled cell again with probability min(0.008, sigma_max)",
    ),
    "remdm_rescale": remasking(
        "remdm_rescale",
        correctors.Remasking(correctors.Rescale(0.015)),
        f"{REMDM} (ReMDM-rescale)",
        "masks each filled cell again with probability 0.015 sigma_max",
    ),
    "remdm_conf": remasking(
        "remdm_conf",
        correctors.Remasking(correctors.conf),
        f"{REMDM} (ReMDM-conf)",
        "masks filled cell i again with probability softmax_i(-p_i) sigma_max, p_i with which it was filled",
    ),
    "remdm_loop": remasking(
        "remdm_loop",
        correctors.Remasking(LOOP.sigma, LOOP.alpha),
        f"{REMDM} (ReMDM-loop)",
        "fills 0.9 of the blanks by t = 0.55, masks each filled cell again with probability 0.02 a step "
        "until t = 0.05, then fills the rest",
    ),
    "forward_backward": remasking(
        "forward_backward",
        correctors.Remasking(correctors.forward_backward),
        f"arXiv:2205.14987 as a case of ReMDM ({REMDM})",
        "masks each filled cell again with probability (alpha_s - alpha_t) / alpha_t",
    ),
    "dfm_corrector": remasking(
        "dfm_corrector",
        correctors.Remasking(correctors.dfm),
        f"arXiv:2407.15595 (discrete flow matching) as a case of ReMDM ({REMDM})",
        "masks each filled cell again with probability 10 (t (1 - t))^0.25 (alpha_s - alpha_t) / alpha_t",
        f"sigma is cut at sigma_max, where the source shortens the step; {SHORTER}",
    ),
    "psi_sampler": remasking(
        "psi_sampler",
        correctors.Remasking(correctors.Psi(0.99, 0.1)),
        "arXiv:2602.21185 (Psi-samplers)",
        "masks each filled cell again with probability (1 - 0.99) (1 - alpha_s) until t = 0.1",
        f"{STEPS} steps and the linear schedule instead of 256 and the cosine; a row without blanks is done",
    ),
    "gibbs_corrector": Strategy(
        "gibbs_corrector",
        orders.random_order,
        budget=budgets.Bernoulli("linear"),
        remask=correctors.LowestMargin(k=1, tau=1.0),
        steps=32,
        source="arXiv:2605.22765 (leave-one-out corrector of DiscreteDDIM)",
        description="ancestral steps, likeliest values; in each, one filled cell is reopened, drawn by "
        "Gumbel-top-k of -(log p(held) - log p(likeliest other))",
        departures="one corrector step, where the default is none; masks instead of uniform noise; the cell "
        "is filled in a later step, not drawn anew at once; margins are those of the model on visible cells, "
        "without conversion to leave-one-out",
        cost="up to T",
    ),
    "wino": Strategy(
        "wino",
        orders.TopProb(),
        budget=WINO.budget,
        remask=WINO.remask,
        memory=WINO.memory,
        source="arXiv:2507.18578 (WINO)",
        description="fills all blanks with p1 >= 0.6, at least one, and reopens those of 8 checked cells "
        "whose value has p < 0.9 once they are masked, fewer than it fills",
        departures="a check is a pass of its own; the source checks all cells in one pass by an attention "
        "mask, and counts the drafts of the step before",
        cost="9 to 9 n",
    ),
}
