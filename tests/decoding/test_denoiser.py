"""Looks ahead: each with the edges and the last word of the state from which it goes out."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from planorder.decoding.denoiser import Denoiser

CPU = torch.device("cpu")


class Listener:
    """A network whose logits are a sum of what it is given."""

    config = SimpleNamespace(self_conditioning=True)

    def __call__(
        self, tokens: torch.Tensor, edges: torch.Tensor, previous: torch.Tensor | None = None
    ) -> torch.Tensor:
        logits = torch.stack([tokens.float(), edges.sum((1, 2))[:, None].expand(tokens.shape)], -1)
        return logits if previous is None else logits + previous


def test_a_look_has_the_edges_and_the_last_word_of_its_own_state() -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 4, (3, 2, 5), generator=generator)
    edges = torch.randint(0, 3, (3, 4, 2), generator=generator).float()
    before = torch.rand(3, 5, 2, generator=generator).log_softmax(-1)
    denoiser = Denoiser(Listener(), CPU, None)
    found = denoiser.ahead(tokens, edges, before)
    for row in range(3):
        for look in range(2):
            alone = denoiser(tokens[row, look][None], edges[row][None], before[row][None])[0]
            torch.testing.assert_close(found[row, look], alone)
    assert not torch.equal(found[0], found[1])
