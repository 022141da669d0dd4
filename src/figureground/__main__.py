"""Run the command: python -m figureground."""

from figureground.cli.main import main

main()
