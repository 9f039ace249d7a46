"""Decoding: in which order a masked diffusion model fills the blanks."""

from planorder.decoding.loop import decode
from planorder.decoding.plugins import get_strategy
from planorder.decoding.published import PRESETS
from planorder.decoding.strategies import Strategy, paper_protocol, with_options
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
