"""Networks of official weights that tests convert, built once: each takes seconds."""

from collections.abc import Callable
from typing import Any

import pytest

from hrnet_tf.weights import official_names, official_networks


class NetworkCache:
    """Hands networks out as they were built; within a test, none twice."""

    def __init__(self) -> None:
        self._built: dict[str, tuple[official_networks.Network, list[Any]]] = {}

    def use_in_this_test(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Takes the place of what builds networks."""
        build = official_networks.build_network
        given: set[str] = set()
        monkeypatch.setattr(
            official_networks,
            "build_network",
            lambda *arguments: self._take(build, given, *arguments),
        )

    def _take(
        self,
        build: Callable[..., official_networks.Network],
        given: set[str],
        task: str,
        tensors: official_networks.Tensors,
        align_corners: bool,
    ) -> official_networks.Network:
        # What decides the network: the sizes of its body, and those of its head.
        body = official_networks._backbone_config(task, tensors, align_corners)
        head = {
            name: tensor.shape
            for name, tensor in sorted(tensors.items())
            if name.endswith(".weight") and not official_names.is_body(name)
        }
        key = repr((task, align_corners, body.as_dict(), head))
        if key in given:
            return build(task, tensors, align_corners)
        if key not in self._built:
            network = build(task, tensors, align_corners)
            self._built[key] = network, network.model.get_weights()
        given.add(key)
        network, weights = self._built[key]
        network.model.set_weights(weights)
        return network
