"""Learning from preferences. Every module here needs torch; its absence is told once, here."""

from agents.policies.entries import require_torch

require_torch()
