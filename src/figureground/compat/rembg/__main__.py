"""Runs rembg's command: `python -m figureground.compat.rembg`."""

from figureground.compat.rembg.command import main

main(prog_name="python -m figureground.compat.rembg")
