"""Models of transformers, used as they are: from a local folder, or from a hub repository at a pinned revision."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from versat2i.settings.params import COMMIT
from versat2i.work import hub
from versat2i.work import identity as identities

LICENCE = "weights as their model card says"
# of a repository, what is not downloaded: weights for other programs, and those that are there as safetensors too
OTHERS = [f"*{ending}" for ending in identities.OTHERS]
TWICE = ["pytorch_model*.bin"]
WEIGHTS = ["*.safetensors", "*.bin"]
DTYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Pretrained:
    """Which weights, and in which numbers they compute.

    Attributes:
        place: a folder, or a repository such as ``openai/clip-vit-large-patch14``.
        revision: the repository's commit; None for a folder.
        dtype: one of `DTYPES`.
        trust_remote_code: whether code that comes with the model may be run.
        weightless: whether its configuration and its processor alone are used, so that `fetch` leaves the weights.
    """

    place: str
    revision: str | None
    dtype: str
    trust_remote_code: bool = False
    weightless: bool = False

    def __str__(self) -> str:
        whole = self.place if self.revision is None else f"{self.place}@{self.revision}"
        return f"{whole} (configuration)" if self.weightless else whole

    @property
    def remote(self) -> bool:
        """Whether they are the hub's, so that `fetch` downloads them."""
        return self.revision is not None

    @property
    def identity(self) -> str:
        """Identify these weights: the revision, or a hash of the folder's bytes."""
        return str(self) if self.revision else f"{self.place}#{identities.of(Path(self.place))[:16]}"

    def fetch(self) -> None:
        """Download the repository, with a progress bar: its safetensors where it has them, else its other weights.

        Raises:
            ValueError: it is not there, or may not be read.
        """
        from huggingface_hub import HfApi, snapshot_download  # not instant

        try:
            names = HfApi().list_repo_files(self.place, revision=self.revision)
            twice = TWICE if any(name.endswith(".safetensors") for name in names) else []
            left = OTHERS + (WEIGHTS if self.weightless else twice)
            with hub.progress():
                snapshot_download(self.place, revision=self.revision, ignore_patterns=left)
        except hub.failures() as error:
            raise self._failure(error, str(error)) from None

    def _failure(self, error: Exception, problem: str) -> ValueError:
        """Explain an error: by the hub's reason where it has one, else by the problem given."""
        why = hub.reason(error, self.place, self.revision) if self.revision else None
        return ValueError(why or f"{self}: {problem}")

    def load(self, kind: str, **options: Any) -> Any:
        """Load them by ``transformers.<kind>.from_pretrained``.

        Raises:
            ValueError: it is not there, cannot be reached, or is of a class that `kind` does not know.
        """
        import transformers  # heavy

        transformers.utils.logging.disable_progress_bar()
        pinned = {} if self.revision is None else {"revision": self.revision}
        try:
            return getattr(transformers, kind).from_pretrained(
                self.place, trust_remote_code=self.trust_remote_code, **pinned, **options
            )
        except hub.failures(ValueError, KeyError, ImportError, RuntimeError, UnpicklingError) as error:
            if "trust_remote_code" in str(error):
                raise ValueError(
                    f"{self}: it brings code of its own, which is run only where params say `trust_remote_code: true` "
                    "beside that model. Read the code first"
                ) from None
            problem = (
                f"cannot be loaded as {kind} ({' '.join(str(error).split())[:300]}). Is it the right model, "
                "is it whole, and if the hub is switched off, was it downloaded before?"
            )
            raise self._failure(error, problem) from None

    def tensors(self, file: str) -> Any:
        """Read a file of weights, safetensors or torch's; only tensors are unpickled.

        Raises:
            ValueError: it is not there, cannot be reached, or holds more than tensors.
        """
        import torch  # heavy
        from safetensors import SafetensorError
        from safetensors.torch import load_file
        from transformers.utils import cached_file

        try:
            path = cached_file(self.place, file, revision=self.revision)
            if file.endswith(".safetensors"):
                return load_file(path)
            return torch.load(path, map_location="cpu", weights_only=True)
        except hub.failures(RuntimeError, UnpicklingError, SafetensorError) as error:
            text = " ".join(str(error).split())[:300]
            raise self._failure(error, f"{file} cannot be read as tensors ({text}). Is it there, and whole?") from None

    def model(self, kind: str, unused: tuple[str, ...] = (), device: str = "cpu") -> Any:
        """The model, for inference.

        Args:
            kind: an auto class of transformers.
            unused: parts of the class that the weights may lack.
            device: to compute on.

        Raises:
            ValueError: as `load`, or the weights lack a part, which would compute with random numbers.
        """
        import torch  # heavy

        model, found = self.load(kind, dtype=getattr(torch, self.dtype), output_loading_info=True)
        missing = sorted(name for name in found["missing_keys"] if not name.startswith(unused))
        if missing:
            raise ValueError(
                f"{self}: lacks {len(missing)} weights of a {type(model).__name__} (first: {missing[0]}). "
                "It was made for another task: name a model that was trained for this one"
            )
        return model.requires_grad_(False).eval().to(device)


class Holder:
    """A model whose weights are loaded when it is first used.

    Attributes:
        kind: the auto class of transformers.
        unused: parts of it that the weights may lack.
        weights: what they are.
    """

    kind: str
    unused: tuple[str, ...] = ()

    def __init__(self, model: str, dtype: str, trust_remote_code: bool = False, device: str = "cpu") -> None:
        self.weights, self._device = parse(model, dtype, trust_remote_code), device

    @cached_property
    def _model(self) -> Any:
        return self.weights.model(self.kind, self.unused, self._device)


def parse(source: str, dtype: str, trust_remote_code: bool = False, weightless: bool = False) -> Pretrained:
    """Weights by name.

    Args:
        source: a folder, or ``repository@revision``.
        dtype: one of `DTYPES`.
        trust_remote_code: whether code that comes with the model may be run.
        weightless: whether its configuration and its processor alone are used.

    Raises:
        ValueError: neither of the two, or an unknown dtype.
    """
    if dtype not in DTYPES:
        raise ValueError(f"{source}: dtype {dtype!r} is none of {', '.join(DTYPES)}")
    if Path(source).is_dir():
        return Pretrained(source, None, dtype, trust_remote_code, weightless)
    place, _, revision = source.rpartition("@")
    if not place or not revision:
        raise ValueError(
            f"model {source!r} is neither a folder nor 'repository@revision'. Pin the revision (a commit hash), "
            "so that results can be reproduced"
        )
    if not COMMIT.fullmatch(revision):
        raise ValueError(
            f"model {source!r}: {revision!r} may be another one tomorrow. Give a commit hash, which the repository's "
            "page at the hub shows below 'Files'"
        )
    return Pretrained(place, revision, dtype, trust_remote_code, weightless)
