"""The whole loop shown on one machine, on real flights."""

from kontinual.local.demo.home import demo_table
from kontinual.local.demo.options import DemoOptions, parse_months
from kontinual.local.demo.replay import Replay
from kontinual.local.demo.report import DemoReport
from kontinual.local.demo.run import demo
from kontinual.local.demo.score import Scoreboard
from kontinual.local.demo.summary import summarise
from kontinual.local.demo.traffic import Traffic
from kontinual.local.demo.watch import Watch

__all__ = [
    "DemoOptions",
    "DemoReport",
    "Replay",
    "Scoreboard",
    "Traffic",
    "Watch",
    "demo",
    "demo_table",
    "parse_months",
    "summarise",
]
