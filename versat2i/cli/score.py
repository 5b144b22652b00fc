"""`versat2i score`."""

from pathlib import Path

import click

from versat2i.cli import GivenPath
from versat2i.settings import compute, params

ALL = "all of params.yaml"


@click.command()
@click.argument("images", nargs=-1, required=True, type=GivenPath())
@click.option("--prompt", required=True, help="What the images were to show.")
@click.option(
    "--aspect", "aspects", multiple=True, show_default=ALL, help="Whose evaluator in params. May be repeated."
)
def main(images: tuple[Path, ...], prompt: str, aspects: tuple[str, ...]) -> None:
    """Score IMAGES with the evaluators of params.yaml.

    \b
    Examples:
        versat2i score samples/*.png --prompt "a red circle above a blue square"
        versat2i score photo.png --prompt "a house" --aspect low_level
    """
    from versat2i.tools import judge  # pandas and OpenCV take a second to import

    settings = params.load()
    evaluators = [(a, params.entry(settings.rewards, a, "rewards")) for a in aspects or settings.aspects]
    for line in judge.score_files(list(images), prompt, evaluators, compute.load()):
        click.echo(line)
