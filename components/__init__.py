"""The components of Kontinual's pipeline, each in a folder of its own, each usable alone."""
