"""`versat2i work`."""

import click

from versat2i.work import places, store


@click.command()
@click.option("--prune", is_flag=True, help="Delete it. The next run makes again what it needs.")
def main(prune: bool) -> None:
    """Show what the work store holds: finished shards and checkpoints, by stage.

    It is always safe to delete: DVC keeps the results, the store only what is not yet one.

    \b
    Examples:
        versat2i work
        versat2i work --prune
    """
    sizes = store.sizes()
    for stage, (pieces, size) in sizes.items():
        click.echo(f"{stage:<26} {pieces:6d} pieces {size / 2**20:10.1f} MiB")
    total = sum(size for _, size in sizes.values())
    if prune:
        store.prune(list(sizes))
    click.echo(f"{'deleted' if prune else 'total'} {total / 2**20:.1f} MiB in {places.home()}")
