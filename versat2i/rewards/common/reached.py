"""A vision-language model that an evaluator asks: loaded here, or at a server that params name."""

from collections.abc import Mapping

from versat2i.models.pretrained.weights import LICENCE, Pretrained
from versat2i.rewards.common.base import OWN_LICENCE
from versat2i.rewards.common.served import Served
from versat2i.rewards.common.vlm import VisionLanguage
from versat2i.settings.compute import NOWHERE, Server


class Reached:
    """What an evaluator of such a model has of it.

    Attributes:
        served: the model at its server; None: it is loaded here.
        model: the model that is loaded here, where it is not served.
        weights: what is downloaded.
        licence: of the evaluator and the model.
    """

    served: Served | None
    model: VisionLanguage
    weights: list[Pretrained]
    licence = f"{OWN_LICENCE}; {LICENCE}"

    def reach(
        self,
        model: str,
        dtype: str,
        trust_remote_code: bool,
        system: str | None,
        llava: str,
        device: str,
        server: str | None = None,
        servers: Mapping[str, Server] = NOWHERE,
    ) -> None:
        """Set the attributes; nothing is loaded or sent.

        Args:
            model: a folder or ``repository@revision``; with `server` its name there.
            dtype: float32, float16 or bfloat16, of a model that is loaded here.
            trust_remote_code: whether code that comes with the model may be run.
            system: what the chat begins with; None: `llava` for a LLaVA 1.5, else nothing.
            llava: what a LLaVA 1.5's chat begins with.
            device: to compute on.
            server: where the model is served, by its name in compute.yaml; None: it is loaded here.
            servers: where models are served.
        """
        self.licence = f"{OWN_LICENCE}; {model}: {LICENCE}"
        self.served = None if server is None else Served(model, server, servers, system or "")
        self.weights = []
        if self.served is None:
            self.model = VisionLanguage(model, dtype, trust_remote_code, system, llava, device=device)
            self.weights = [self.model.weights]
