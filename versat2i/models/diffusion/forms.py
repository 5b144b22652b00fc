"""The forms in which people have models: which weight files to read, and what is no text-to-image model."""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from diffusers import DiffusionPipeline

from versat2i.work import identity as identities

WEIGHTS = re.compile(
    r"(diffusion_pytorch_|pytorch_)?model(-\d+-of-\d+)?(\.(?P<variant>[\w-]+?))?(-\d+-of-\d+)?\.(?P<kind>safetensors|bin)"
)
SINGLE = (".safetensors", ".ckpt", ".pt", ".pth", ".gguf")
# what denoisers see beside the latents, by how many channels more than the latents have
OTHER_TASKS = {
    1: "a depth map",
    3: "an image to enlarge",
    4: "an image to change",
    5: "an image to fill in with its mask",
}


class UnsupportedModel(ValueError):
    """A model that this package has no class for."""


def variant(names: Iterable[str], where: str, revision: str | None = None) -> str | None:
    """Find the only weight variant of a folder (fp16, ...); None if the files name no variant.

    Args:
        names: files of a pipeline's folder, ``unet/diffusion_pytorch_model.fp16.safetensors``.
        where: the folder or repository.
        revision: of the repository.

    Raises:
        UnsupportedModel: a part has pickles alone; or there are several kinds, and none that all parts have.
    """
    found: dict[str, set[str | None]] = {}
    pickled: dict[str, tuple[str, str | None]] = {}
    for name in sorted(names):
        part, _, file = name.rpartition("/")
        if (match := WEIGHTS.fullmatch(file)) and "/" not in part and part:
            if match["kind"] == "bin":
                pickled[part] = name, match["variant"]
            else:
                found.setdefault(part, set()).add(match["variant"])
    if left := sorted(pickled.keys() - found.keys() - {"safety_checker"}):
        name, kind = pickled[left[0]]
        raise UnsupportedModel(
            f"{where}: {name} is a pickle, which may run code when it is read, so only safetensors are. Take a "
            f"revision that has them, or write them once where you trust the file: {_converting(where, revision, kind)}"
        )
    without = [kinds for kinds in found.values() if None not in kinds]
    if not without:
        return None
    common = sorted(filter(None, set.intersection(*without)))
    if len(common) == 1:
        return common[0]
    kinds = sorted({kind for each in without for kind in each if kind})
    raise UnsupportedModel(
        f"{where}: has its weights as {', '.join(kinds)}. Say in params.yaml which to read, e.g. `model.variant: "
        f"{kinds[0]}`"
    )


def _converting(where: str, revision: str | None, kind: str | None) -> str:
    """The command that writes a model's pickles as safetensors, fit for a shell."""
    options = {"revision": revision, "variant": kind}
    given = [repr(where), *(f"{name}={value!r}" for name, value in options.items() if value)]
    loaded = f"diffusers.DiffusionPipeline.from_pretrained({', '.join(given)})"
    code = f"import diffusers; {loaded}.save_pretrained('FOLDER')"
    plain = not set(code) & set('"$`\\!')  # in double quotes a shell leaves it as it is, and it is easier to read
    return f'python -c "{code}"' if plain else f"python -c {shlex.quote(code)}"


def check_folder(path: str, param: str = "path") -> None:
    """Refuse what is no folder of diffusers.

    Args:
        path: the folder as params name it.
        param: what it is there: `path`, or `config` of a checkpoint in one file.

    Raises:
        ValueError: says what it is and what to do.
    """
    said = f"model.{param}: {path}"
    if param == "path" and Path(path).is_file() and Path(path).suffix in SINGLE:
        raise ValueError(
            f"{said} is a single file. Write `file: {path}` in place of `path`, with `config`: a folder or "
            "owner/name@commit of a model of the same kind in diffusers' format, for the tokenizers and configs"
        )
    if path.startswith("~") and Path(path).expanduser().is_dir():
        raise ValueError(f"{said}: ~ is not read as your home here, nor by DVC. Write {Path(path).expanduser()}")
    if broken := identities.broken(Path(path)):
        raise ValueError(
            f"{said}: {broken[0]} is a link to {broken[0].readlink()}, which is not there. Copy the folder with what "
            "its links lead to (`cp -rL`), or download it again"
        )
    if not (Path(path) / "model_index.json").is_file():
        hub = {"path": "by `repo` and `revision`", "config": "as owner/name@commit"}[param]
        raise ValueError(
            f"{said} is no diffusers folder (it has no model_index.json). Name the folder that holds that file, or a "
            f"repository of the hub {hub}"
        )


def check_task(pipe: DiffusionPipeline, where: str) -> None:
    """Refuse a UNet that draws from more than a text.

    Raises:
        UnsupportedModel: it takes more channels than the latents have.
    """
    unet, vae = getattr(pipe, "unet", None), getattr(pipe, "vae", None)
    if unet is None or vae is None:
        return
    seen, latents = unet.config.in_channels, vae.config.latent_channels
    if seen != latents:
        also = OTHER_TASKS.get(seen - latents, "something else")
        raise UnsupportedModel(
            f"{where}: its UNet takes {seen} channels, the {latents} of the latents and {also}: it is no text-to-image "
            "model. Name the model that it was made from"
        )
