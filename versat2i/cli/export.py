"""`versat2i export`."""

from pathlib import Path

import click

from versat2i.cli import GivenPath
from versat2i.settings import params


@click.command()
@click.argument("adapters", nargs=-1, required=True, type=GivenPath())
@click.option("--out", default=Path("export"), type=GivenPath(), show_default=True)
@click.option("--replace", is_flag=True, help="Overwrite files and folders that hold something else.")
def main(adapters: tuple[Path, ...], out: Path, replace: bool) -> None:
    """Write ADAPTERS as files for diffusers and for ComfyUI and A1111 (kohya's names).

    A mixture becomes one ordinary LoRA with its mean gates baked in (not of scope time or prompt), and
    beside it a folder with the full mixture and a model card, ready for a hub. Nothing here uploads it:
    that is one command of yours.
    Files are called as their adapters; where two share a name, what tells their paths apart is added.

    \b
    Examples:
        versat2i export data/adapters/geometry
        versat2i export data/adapters/* --out export
        versat2i export seed0/adapters/geometry seed1/adapters/geometry
        hf upload OWNER/NAME export/mixture
    """
    from versat2i.adapters import mixture_files
    from versat2i.tools import card, export  # torch takes seconds to import

    folders = list({export.place(folder): folder for folder in adapters}.values())
    for folder, name in zip(folders, export.called(folders), strict=True):
        mixed = mixture_files.holds(folder)
        reason = mixture_files.refusal(folder) if mixed else None
        if reason:
            click.echo(f"{name}: no file for other tools: {reason}")
        written = [] if reason else export.export(folder, out, name, replace)
        if mixed:
            written.append(card.publishable(folder, out / name, params.load(), replace))
        for path in written:
            click.echo(f"wrote {path}")
