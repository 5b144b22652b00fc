"""Distance to the nearest of some images that must not be copied: training picks, or a folder of one's own."""

from collections.abc import Iterator
from functools import cached_property
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import PIL.Image

from versat2i.formats import shards
from versat2i.rewards.common.base import Explained, Image, Images, Prompt, Verdicts, batches
from versat2i.rewards.originality.embedders import Embedded, Embedder, Vectors
from versat2i.work import files

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def nearest(vectors: Vectors, others: Vectors, neighbours: int = 1) -> tuple[Vectors, Vectors]:
    """The mean of the n smallest ``1 - <e, r_j>``, and the j of the smallest: 0 for a copy, 1 for nothing in common.

    Args:
        vectors: e, ``[images, d]``, each of length one.
        others: r, ``[references, d]``, likewise.
        neighbours: n, at most the number of references.

    Returns:
        the distance, ``[images]`` in [0, 2], and the place of the nearest.
    """
    likeness = vectors @ others.T
    closest = np.partition(likeness, -neighbours, axis=-1)[:, -neighbours:]
    return np.clip(1.0 - closest.mean(-1), 0.0, 2.0), likeness.argmax(-1)


class Reference:
    """Images of a folder: files, shards, or a selected set (``data/selected/<aspect>``).

    Attributes:
        remote: False, they are here.
    """

    remote = False

    def __init__(self, folder: str, batch_size: int) -> None:
        self.folder, self._batch_size = Path(folder), batch_size

    def __str__(self) -> str:
        return str(self.folder)

    @property
    def identity(self) -> str:
        """A hash of the folder's bytes."""
        self._expect()
        return f"{self.folder}#{files.folder_hash(self.folder)[:16]}"

    def fetch(self) -> None:
        """Do nothing: they are here."""

    def _expect(self) -> None:
        if not self.folder.is_dir():
            raise ValueError(f"{self.folder}: no such folder of images, which `reference` names")

    def named(self) -> Iterator[tuple[str, Image]]:
        """Each image and what it is called, in the order of their names.

        Raises:
            ValueError: there is none, or one cannot be read.
        """
        self._expect()
        below = self.folder / "images"
        folder = below if any(below.glob("*.tar")) else self.folder
        if any(folder.glob("*.tar")):
            yield from ((found.member, found.image) for found in shards.read_all(folder) if not found.flagged)
            return
        paths = [path for path in files.below(folder) if path.suffix.lower() in ENDINGS]
        if not paths:
            raise ValueError(f"{self.folder}: no image here ({', '.join(ENDINGS)}) and no shard (*.tar)")
        for path in paths:
            try:
                with PIL.Image.open(path) as image:
                    yield str(path.relative_to(folder)), np.asarray(image.convert("RGB"))
            except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
                raise ValueError(f"{path}: no image that can be read ({error})") from None

    def embedded(self, embedder: Embedder) -> tuple[list[str], Vectors]:
        """The names and vectors of all images."""
        names: list[str] = []
        vectors: list[Vectors] = []
        for _, same in groupby(self.named(), key=lambda named: named[1].shape):
            while some := list(islice(same, self._batch_size)):
                names += [name for name, _ in some]
                vectors.append(embedder.embed(np.stack([image for _, image in some])))
        return names, np.concatenate(vectors)


class Nearest(Embedded):
    """`nearest` of an image among the reference's."""

    name = "nearest"
    metric = "originality"
    range = (0.0, 2.0)

    def __init__(
        self,
        embedder: str,
        reference: str,
        neighbours: int = 1,
        dtype: str = "float32",
        batch_size: int = 32,
        trust_remote_code: bool = False,
        device: str = "cpu",
    ) -> None:
        """Make one; the other options are those of `Embedded`.

        Args:
            embedder: what makes vectors of images.
            reference: the folder of images that are not to be copied.
            neighbours: images of it that the distance is the mean to; more than one where no single copy matters, but
                how crowded a place is.
            dtype: of the model.
            batch_size: images at once.
            trust_remote_code: whether code that comes with the model may be run.
            device: to compute on.

        Raises:
            ValueError: there is not even one neighbour.
        """
        if neighbours < 1:
            raise ValueError(f"nearest: neighbours is {neighbours}, expected 1 or more")
        super().__init__(embedder, dtype, batch_size, trust_remote_code, device)
        self.reference, self._neighbours = Reference(reference, batch_size), neighbours
        self.weights = [*self.embedder.weights, self.reference]

    @cached_property
    def _others(self) -> tuple[list[str], Vectors]:
        return self.reference.embedded(self.embedder)

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        names, others = self._others
        if len(names) < self._neighbours:
            raise ValueError(
                f"{self.reference}: holds {len(names)} images, and `neighbours` asks for {self._neighbours}"
            )
        scores: Verdicts = []
        for some, _ in batches(self.batch_size, images, prompts):
            distances, whose = nearest(self.embedder.embed(some), others, self._neighbours)
            told = zip(distances.tolist(), whose, strict=True)
            scores += [Explained(distance, {"nearest": names[place]}) for distance, place in told]
        return scores
