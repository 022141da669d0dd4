"""The command `export`: trained weights as one ONNX file."""

from pathlib import Path

import click

from figureground.cli.command import command
from figureground.cli.options import import_part


@command()
@click.argument("weights", type=click.Path(exists=True, path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The ONNX file to write.")
@click.option("--size", type=int, default=None, help="Pixels of a side; else any multiple of 32 from 64 to 1024.")
def export(weights: Path, out: Path, size: int | None) -> None:
    """Export trained WEIGHTS as one ONNX file.

    WEIGHTS is a safetensors file of `figureground train`; the ONNX file holds kernels as float16.
    """
    write_graph(weights, out, size)


def write_graph(weights: Path, out: Path, size: int | None) -> None:
    """Export weights and print the file's size and error; raises MissingExtra, WeightsError."""
    exporting = import_part("figureground.training.export", "export", "train")
    apart = exporting.export(weights, out, size)
    size_now = f"{out.stat().st_size / 2**20:.2f} MiB"
    click.echo(f"{weights} → {out}: {size_now}, at most {apart['after']:.1e} from torch in probability")
