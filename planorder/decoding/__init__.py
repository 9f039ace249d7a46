"""Decoding: in which order a masked diffusion model fills the blanks."""

from planorder.decoding.loop import decode
from planorder.decoding.strategies import PRESETS, Strategy, get_strategy, paper_protocol, with_options
from planorder.decoding.view import Decoded, StepView

__all__ = [
    "PRESETS",
    "Decoded",
    "StepView",
    "Strategy",
    "decode",
    "get_strategy",
    "paper_protocol",
    "with_options",
]
