"""A vision-language model that is loaded here or asked at its server."""

from versat2i.rewards.common.reached import Reached
from versat2i.rewards.common.vlm import LLAVA_V1
from versat2i.settings.compute import Server


def reached(**options) -> Reached:
    evaluator = Reached()
    evaluator.reach("owner/model@0123456", "float32", False, None, LLAVA_V1, "cpu", **options)
    return evaluator


def test_without_a_server_its_weights_are_named_and_nothing_is_served():
    found = reached()
    assert found.served is None and found.weights == [found.model.weights]
    assert str(found.weights[0]) == "owner/model@0123456"


def test_at_a_server_nothing_is_downloaded():
    found = reached(server="box", servers={"box": Server(url="http://localhost:8000/v1")})
    assert str(found.served) == "owner/model@0123456 at server 'box'"
    assert found.weights == [] and not hasattr(found, "model")


def test_the_licence_names_the_model():
    assert "owner/model@0123456: " in reached().licence and "owner" not in Reached.licence
