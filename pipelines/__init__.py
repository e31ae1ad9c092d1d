"""The pipeline of Kontinual, and the ways to compile and to run it."""
