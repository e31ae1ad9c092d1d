"""Tracking: every trial, every version, and which of them is the champion."""

from kontinual.tracking.records import TrialRecord
from kontinual.tracking.tracker import Tracker

__all__ = ["Tracker", "TrialRecord"]
