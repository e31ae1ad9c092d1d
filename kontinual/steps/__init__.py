"""The steps of a run: what the body of each pipeline component calls.

One module per component. Each imports the stations of its own environment and
no other, so import the module you need: `from kontinual.steps.train import train`.
"""
