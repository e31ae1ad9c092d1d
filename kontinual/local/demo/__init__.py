"""The whole loop shown on one machine, on real flights."""

from kontinual.local.demo.options import DemoOptions, parse_months
from kontinual.local.demo.report import DemoReport
from kontinual.local.demo.run import demo
from kontinual.local.demo.summary import summarise

__all__ = ["DemoOptions", "DemoReport", "demo", "parse_months", "summarise"]
