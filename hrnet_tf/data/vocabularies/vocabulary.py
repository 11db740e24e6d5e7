"""What skeletons and label sets share: built-in names, YAML files, mirror images."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import yaml

from hrnet_tf.messages import UserError, did_you_mean, one_line

Vocabulary = TypeVar("Vocabulary")


def load(
    name_or_path: str,
    kind: str,
    built_in: Mapping[str, Vocabulary],
    from_spec: Callable[[Any, str], Vocabulary],
    refuse: Callable[[str], UserError],
) -> Vocabulary:
    """Returns a built-in vocabulary by name, or reads one from a `*.yaml` file.

    `from_spec` makes one from the content of a file and its path, `refuse` an error
    from a sentence, in which it is called a `kind`: "skeleton".
    """
    if name_or_path in built_in:
        return built_in[name_or_path]
    names = ", ".join(built_in)
    if not name_or_path.endswith((".yaml", ".yml")):
        raise refuse(
            f"Unknown {kind} {name_or_path!r}{did_you_mean(name_or_path, built_in)}; "
            f"give one of {names}, or the path of a *.yaml file."
        )
    if not os.path.isfile(name_or_path):
        raise refuse(
            f"There is no {kind} file {name_or_path!r}; give the path of a *.yaml "
            f"file, or one of {names}."
        )
    try:
        with open(name_or_path, encoding="utf-8") as file:
            spec = yaml.load(file, _UniqueKeyLoader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise refuse(
            f"{kind.capitalize()} file {name_or_path} could not be read as YAML: "
            f"{one_line(error)}"
        ) from None
    return from_spec(spec, name_or_path)


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a mapping that has a key twice, where PyYAML keeps the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue  # PyYAML itself refuses a list or a mapping as a key.
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key_node.value!r} is given twice",
                    problem_mark=key_node.start_mark,
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def flip_permutation(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """For each place, the number that takes it when the pairs change places."""
    permutation = list(range(count))
    for first, second in pairs:
        permutation[first], permutation[second] = second, first
    return permutation
