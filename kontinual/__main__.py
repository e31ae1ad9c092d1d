"""`python -m kontinual` is the `kontinual` command."""

from kontinual.cli import main

main()
