"""The state of a training run on disk, found again only if nothing that its weights depend on has changed."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from versat2i.models.diffusion import identity
from versat2i.settings import params
from versat2i.settings.training import Training
from versat2i.work import files, fingerprint, store

DIGEST = hashlib.sha256().digest_size  # bytes; torch does not check those of its own


class Checkpoint:
    """The state of a training run on disk, replaced as a whole, with a checksum in front."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> dict[str, Any] | None:
        """The last state, or None if there is none or it is damaged."""
        try:
            whole = self.path.read_bytes()
            digest, data = whole[:DIGEST], whole[DIGEST:]
            if self._digest(data) != digest:
                raise ValueError("damaged")
            return torch.load(io.BytesIO(data), weights_only=True)
        except Exception:  # whatever a damaged file raises, the remedy is the same: start again
            files.remove(self.path)
            return None

    def save(self, state: dict[str, Any]) -> None:
        data = io.BytesIO()
        torch.save(state, data)
        with files.new_file(self.path) as partial, partial.open("wb") as file:
            file.write(self._digest(data.getbuffer()))
            file.write(data.getbuffer())

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def _digest(self, data: bytes | memoryview) -> bytes:
        """Checksum of a state and its name: a renamed file is the state of another run."""
        digest = hashlib.sha256(self.path.name.encode())
        digest.update(data)
        return digest.digest()


def of(stage: str, module: str, name: str, settings: params.Params, rule: Training, inputs: list[Path]) -> Checkpoint:
    """The checkpoint of a training run: found again only if nothing that its weights depend on has changed.

    Args:
        stage: the stage's name in the work store.
        module: whose code trains.
        name: of the adapter.
        settings: for the model and the seed.
        rule: how it is trained.
        inputs: the folders it is trained on.
    """
    key = fingerprint.of(
        [module],
        name=name,
        seed=settings.seed,
        model=settings.model.model_dump() | identity(settings.model),
        rule=rule.model_dump(exclude={"checkpoint_every"}),
        inputs=[files.folder_hash(folder) for folder in inputs],
    )
    return Checkpoint(store.Store(stage).folder / f"{key}.pt")
