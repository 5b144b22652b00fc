"""`versat2i check`."""

from pathlib import Path

import click

from versat2i.settings import compute, params


@click.command()
@click.argument("model", required=False)
@click.option(
    "--params", "path", default=Path("params.yaml"), type=click.Path(path_type=Path), help="For example a preset."
)
@click.pass_context
def main(context: click.Context, model: str | None, path: Path) -> None:
    """Try a MODEL for what real models are known to get wrong, in minutes, before a run is paid for.

    It is loaded in the dtype of params and draws an image, its training gradients are compared with those in float32,
    a LoRA is exported and loaded in plain diffusers, and every evaluator of params has to tell a sharp picture from
    noise and to read the tokens that its model answers with. What is wrong is said with what to change. Ends with 1 if
    something is.

    MODEL is a folder or OWNER/NAME@REVISION; without it, the model of params.

    \b
    Examples:
        versat2i check
        versat2i check /models/my-sd15 --params presets/sd15.yaml
    """
    settings, machine = params.load(path), compute.load()
    if model is not None:
        settings = settings.model_copy(update={"model": _named(model, settings.model)})

    from versat2i.tools import check  # torch and diffusers take seconds to import

    wrong = 0
    for finding in check.findings(settings, machine):
        click.echo(f"{'!!' if finding.advice else 'ok'}  {finding.what:<12} {finding.found}")
        if finding.advice:
            click.echo(f"    {'':<12} -> {finding.advice}")
            wrong += 1
    if wrong:
        context.exit(1)


def _named(model: str, settings: params.Model) -> params.Model:
    """The model of that name, computed as params say."""
    repo, _, revision = model.partition("@")
    if Path(model).is_dir():
        source = {"path": model, "repo": None, "revision": None}
    elif revision:
        source = {"path": None, "repo": repo, "revision": revision}
    else:
        raise ValueError(f"{model}: there is no such folder; a repository is named as OWNER/NAME@REVISION")
    return settings.model_copy(update=source)
