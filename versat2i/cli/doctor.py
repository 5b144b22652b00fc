"""`versat2i doctor`."""

import click


@click.command()
@click.pass_context
def main(context: click.Context) -> None:
    """Look at versions, device, memory, disk, hub and DVC: what is wrong and how to mend it.

    Ends with 1 if something is wrong.

    \b
    Example:
        versat2i doctor
    """
    from versat2i.tools import doctor  # torch and diffusers take seconds to import

    found = doctor.findings()
    for finding in found:
        mark = "ok" if finding.advice is None else "!!"
        click.echo(f"{mark}  {finding.what:<9} {finding.found}")
        if finding.advice:
            click.echo(f"    {'':<9} -> {finding.advice}")
    if any(finding.advice for finding in found):
        context.exit(1)
