"""LAION's aesthetic predictor (Schuhmann 2022): how much people like an image, read from its CLIP embedding."""

from functools import cached_property
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

from versat2i.models.pretrained import weights
from versat2i.rewards.common.base import OWN_LICENCE, Images, Prompt, Verdicts, batches
from versat2i.rewards.common.clip import Clip
from versat2i.work import files, hub

if TYPE_CHECKING:
    from torch import Tensor

FILE = "sac+logos+ava1-l14-linearMSE.pth"
SOURCE = (
    "https://github.com/christophschuhmann/improved-aesthetic-predictor/raw/6934dd81792f086e613a121dbce43082cb8be85e"
)
SHA256 = "21dd590f3ccdc646f0d53120778b296013b096a035a2718c9cb0d511bff0f1e0"

Layer = tuple["Tensor", "Tensor"]  # weight [out, in], bias [out]


def read(path: Path) -> list[Layer]:
    """The linear layers of a head, in the order of their numbers: dropout stood between them.

    Raises:
        ValueError: the file cannot be read as tensors, or holds no chain of linear layers that ends in one number.
    """
    import torch  # heavy
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        order = sorted({int(name.split(".")[1]) for name in found})
        layers = [tuple(found[f"layers.{place}.{part}"].double() for part in ("weight", "bias")) for place in order]
        widths = [weight.shape for weight, _ in layers]
        if [into for _, into in widths[1:]] + [1] != [out for out, _ in widths]:
            raise ValueError(f"layers of the shapes {[list(shape) for shape in widths]} do not end in one number")
    except (OSError, RuntimeError, UnpicklingError, SafetensorError, ValueError, KeyError, IndexError) as error:
        raise ValueError(
            f"{path}: no head of the aesthetic predictor ({' '.join(str(error).split())[:300]}). "
            f"Expected layers.<n>.weight and .bias, as in {FILE}; without `head` the authors' file is downloaded"
        ) from None
    return layers


def rate(embeddings: "Tensor", layers: list[Layer]) -> "Tensor":
    """``W_5 (... W_1 e / |e| + b_1 ...) + b_5``, ``[batch, d] -> [batch]``."""
    from torch.nn import functional as F  # heavy

    x = F.normalize(embeddings, dim=-1)
    for weight, bias in layers:
        x = F.linear(x, weight, bias)
    return x[:, 0]


class Head:
    """The linear layers, from a file of one's own or the authors'."""

    def __init__(self, path: str | None) -> None:
        self._own = None if path is None else Path(path)
        self.remote = path is None

    def __str__(self) -> str:
        return str(self._own or f"{SOURCE}/{FILE}")

    @property
    def licence(self) -> str:
        return "as its authors say" if self._own else "Apache-2.0"

    @property
    def identity(self) -> str:
        """A hash of the file."""
        if self._own is None:
            return SHA256
        if not self._own.is_file():
            raise ValueError(
                f"{self._own}: there is no such head of the aesthetic predictor. Leave `head` out or mend it"
            )
        return files.file_hash(self._own)

    def fetch(self) -> Path:
        """The authors' file, downloaded to torch's hub folder where it is not there yet.

        Raises:
            ValueError: it cannot be downloaded, or is not the file of `SHA256`.
        """
        import torch  # heavy

        path = Path(torch.hub.get_dir()) / "versat2i" / FILE
        if not path.is_file():
            try:
                if hub.offline():
                    raise OSError("the hub is switched off: HF_HUB_OFFLINE")
                path.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(
                    f"{SOURCE}/{FILE}".replace("+", "%2B"), str(path), SHA256, progress=False
                )
            except (OSError, RuntimeError) as error:
                raise ValueError(
                    f"{self}: cannot be downloaded ({' '.join(str(error).split())[:300]}). Put it at {path}, "
                    "or name a file with `head`"
                ) from None
        return path

    @cached_property
    def layers(self) -> list[Layer]:
        return read(self._own or self.fetch())


class Laion:
    """`rate` of the image embedding of CLIP ViT-L/14.

    Five linear layers and nothing between them, as their authors trained them: on ratings of 1 to 10, so that
    photographs get about 4 to 7.
    """

    name = "laion"
    metric = "laion_aes"
    higher_is_better = True
    range = (1.0, 10.0)
    licence = f"{OWN_LICENCE}; {weights.LICENCE}; its head Apache-2.0"

    def __init__(
        self, model: str, head: str | None = None, dtype: str = "float32", batch_size: int = 32, device: str = "cpu"
    ) -> None:
        """Make one.

        Args:
            model: CLIP ViT-L/14, a folder or ``repository@revision``.
            head: a file of linear layers; without it the authors' own is downloaded and checked.
            dtype: of the CLIP: float32, float16 or bfloat16.
            batch_size: images at once.
            device: to compute on.
        """
        self.clip, self.head, self.batch_size = Clip(model, dtype, device=device), Head(head), batch_size
        self.weights = [self.clip.weights, self.head]
        self.licence = f"{OWN_LICENCE}; {model}: {weights.LICENCE}; {self.head}: {self.head.licence}"

    def ratings(self, images: Images) -> "Tensor":
        """The score of each image, ``float64 [batch]``.

        Raises:
            ValueError: the head does not fit the CLIP.
        """
        found, expected = self.clip.embed(images).cpu(), self.head.layers[0][0].shape[1]
        if found.shape[1] != expected:
            raise ValueError(
                f"{self.name}: the CLIP embeds images in {found.shape[1]} numbers, {self.head} takes {expected}. "
                "The authors' head is made for openai/clip-vit-large-patch14"
            )
        return rate(found, self.head.layers)

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        return [score for some, _ in batches(self.batch_size, images, prompts) for score in self.ratings(some).tolist()]
