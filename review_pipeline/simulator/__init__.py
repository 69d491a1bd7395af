"""The offline API: speaks the wire protocol of Anthropic's API on loopback and calls no model."""

from review_pipeline.simulator.rules import IllegalRule, Rule
from review_pipeline.simulator.server import Simulator
from review_pipeline.simulator.service import Options

__all__ = ["IllegalRule", "Options", "Rule", "Simulator"]
