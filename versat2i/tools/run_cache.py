"""Push the outputs that DVC's run cache needs and `dvc push` leaves out.

The run cache restores a stage only whole: every output of it. `dvc push --run-cache` sends its entries, and the
outputs of the present commit, but no metrics and plots, since those are Git's. A colleague would have to train anew
what was trained before, because a few small files are missing.
"""

from pathlib import Path

import click
import yaml

from versat2i.tools import dvc
from versat2i.work import places

LISTING = Path("runs.dvc")  # there while it is sent
SMALL = (str(places.METRICS), str(places.PLOTS))  # what dvc.yaml keeps in Git


def small(cache: Path) -> dict[str, int]:
    """The metrics and plots of all runs: md5 -> bytes, of those whose objects are in the cache.

    Args:
        cache: DVC's, as `dvc cache dir` prints it.

    Raises:
        ValueError: an entry of the run cache cannot be read.
    """
    entries = sorted(path for path in cache.glob("runs/*/*/*") if path.is_file())
    outputs = [output for entry in entries for output in _outputs(entry)]
    found = {md5: size for path, md5, size in outputs if path.parts[0] in SMALL}
    return {md5: size for md5, size in found.items() if (cache / "files/md5" / md5[:2] / md5[2:]).is_file()}


def _outputs(entry: Path) -> list[tuple[Path, str, int]]:
    """Path, md5 and bytes of each output of a run."""
    try:
        outputs = yaml.safe_load(entry.read_text())["outs"]
        return [(Path(out["path"]), str(out["md5"]), int(out["size"])) for out in outputs]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
        text = " ".join(str(error).split())
        raise ValueError(f"{entry}: not an entry of DVC's run cache ({text}). It is safe to delete") from None


def listing(objects: dict[str, int]) -> str:
    """A `.dvc` file that names objects, for `dvc push` to send.

    Args:
        objects: md5 -> bytes.
    """
    outs = [{"md5": md5, "size": size, "hash": "md5", "path": f"runs/{md5}"} for md5, size in sorted(objects.items())]
    return yaml.safe_dump({"outs": outs})


@click.command()
def main() -> None:
    """Send the metrics and plots of every run, so that the run cache restores them anywhere.

    \b
    Example:
        dvc push --run-cache && python -m versat2i.tools.run_cache
    """
    try:
        objects = small(Path(dvc.output("cache", "dir")))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if not objects:
        return
    try:
        LISTING.write_text(listing(objects))
        click.echo(f"metrics and plots of all runs: {dvc.output('push', str(LISTING))}")
    finally:
        LISTING.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
