"""From flags to an experiment's configuration, checked for its form.

The registered experiment is changed by every configuration file in turn and then by
the overrides, strictly: a key that does not exist is refused before anything is
changed, with its full path and what was probably meant. The Garden checks no types,
so `type_mistakes` compares every value with its field's annotation.

`hrnet_tf.validation` checks what the values mean.
"""

import difflib
import json
import math
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
import yaml
from official.core import config_definitions as cfg
from official.core import exp_factory
from official.modeling import hyperparams
from official.modeling.hyperparams import params_dict

_PLAIN_TYPES = (str, int, float, bool, type(None))
_SEQUENCES = (list, tuple, Sequence)


class ConfigError(ValueError):
    """A configuration that cannot work: one sentence per mistake, one mistake a line.

    Each sentence names the key's full dotted path (or the flag, or the file), what was
    received and what is allowed.
    """


def parse_config(
    experiment: str,
    config_files: Iterable[str] = (),
    params_override: str | Iterable[str] = (),
    tpu: str | None = None,
    tf_data_service: str | None = None,
) -> cfg.ExperimentConfig:
    """Returns the registered experiment with all changes applied, in this order.

    Args:
        experiment: A registered name.
        config_files: YAML files.
        params_override: One or more of: `a.b=value,c.d=value`, a YAML mapping, the path
            of a YAML file. Applied last.
        tpu: Address of the TPU, `runtime.tpu`; None leaves that key as it is.
        tf_data_service: Address for `tf_data_service_address` of the training and
            validation data; None leaves them as they are.

    Raises:
        ConfigError: If the experiment, a file or a key does not exist, or a file or
            override cannot be read.
    """
    params = _registered_experiment(experiment)
    for path in config_files:
        _apply(params, _read_file(path, f"--config_file={path}"), path)
    if tpu is not None:
        params.override({"runtime": {"tpu": tpu}})
    if tf_data_service is not None:
        address = {"tf_data_service_address": tf_data_service}
        params.override({"task": {"train_data": address, "validation_data": address}})
    if isinstance(params_override, str):
        params_override = [params_override]
    for text in params_override:
        _apply(params, _read_override(text), "--params_override")
    return params


def did_you_mean(received: Any, allowed: Iterable[Any]) -> str:
    """Returns " (did you mean ...?)" if an allowed text is much like `received`."""
    texts = {text.lower(): text for text in allowed if isinstance(text, str)}
    close = difflib.get_close_matches(str(received).lower(), texts, n=1)
    return f" (did you mean {texts[close[0]]!r}?)" if close else ""


# ---- the experiment, and the changes to it ----


def _registered_experiment(name: str) -> cfg.ExperimentConfig:
    try:
        return exp_factory.get_exp_config(name)
    except LookupError:
        # The Garden has no public list of the names.
        known = list(exp_factory._REGISTERED_CONFIGS)
        ours = [known_name for known_name in known if known_name.startswith("hrnet_")]
        raise ConfigError(
            f"--experiment={name} is not registered{did_you_mean(name, known)}; it "
            f"must be one of {', '.join(sorted(ours))}."
        ) from None


def _read_file(path: str, source: str) -> dict[Any, Any]:
    """The mapping that a YAML file holds; an empty file is an empty mapping."""
    try:
        with tf.io.gfile.GFile(path) as file:
            text = file.read()
    except tf.errors.NotFoundError:
        raise ConfigError(f"{source}: there is no file {path}.") from None
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source} cannot be read: {_one_line(error)}") from error
    loaded = _load_yaml(text, source)
    if loaded is not None and not isinstance(loaded, dict):
        raise ConfigError(
            f"{source} holds {_shown(loaded)}; it must hold a YAML mapping with the "
            "keys task, trainer or runtime."
        )
    return loaded or {}


def _read_override(text: str) -> dict[Any, Any]:
    source = f"--params_override={text}"
    try:
        yaml_text = params_dict.nested_csv_str_to_json_str(text)
    except ValueError:  # Not a.b=value, so YAML or a file.
        yaml_text = text
    loaded = _load_yaml(yaml_text, source)
    if isinstance(loaded, dict) or not text:
        return loaded or {}
    if tf.io.gfile.exists(text):
        return _read_file(text, source)
    raise ConfigError(
        f"{source} cannot be understood; write a.b=value,c.d=value (a value that holds "
        "a comma in quotes), a YAML mapping, or the path of a YAML file."
    )


def _load_yaml(text: str, source: str) -> Any:
    try:
        # The Garden's reading of numbers: it takes 1e-3, where YAML wants 1.0e-3.
        return yaml.load(text, Loader=params_dict._LOADER)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        reason = getattr(error, "problem", None) or _one_line(error)
        raise ConfigError(
            f"{source}{where}: this is not valid YAML: {reason} (values with special "
            "characters need quotes)."
        ) from error


def _apply(params: cfg.ExperimentConfig, changes: dict[Any, Any], source: str) -> None:
    """Changes `params` if all keys of `changes` exist, and else not at all."""
    mistakes = list(_key_mistakes(params, changes, params))
    if mistakes:
        raise ConfigError("\n".join(f"{source}: {mistake}" for mistake in mistakes))
    params.override(changes, is_strict=True)


def _key_mistakes(
    config: hyperparams.Config,
    changes: Mapping[Any, Any],
    root: hyperparams.Config,
    path: str = "",
) -> Iterator[str]:
    """Yields a sentence for every change that the Garden cannot, or should not, take.

    Besides unknown keys, these are values in place of sections and the reverse: the
    Garden replaces one by the other without a word.
    """
    annotations = typing.get_type_hints(type(config))
    for key, value in changes.items():
        key_path = _join(path, key)
        if key not in _keys(config):
            yield _unknown_key(config, key, root, path)
            continue
        current = getattr(config, key)
        annotation = annotations.get(key, Any)
        section = current if isinstance(current, hyperparams.Config) else None
        if isinstance(value, dict):
            if section is None:
                section_type = _section_type(annotation)
                if section_type is None:
                    yield (
                        f"{key_path} is a value, not a section: it must be "
                        f"{_described(annotation)}; got the keys "
                        f"{', '.join(map(str, value))}."
                    )
                    continue
                section = section_type()
            if _keys(section):  # A bare `Config` takes any keys.
                yield from _key_mistakes(section, value, root, key_path)
        elif section is not None and not _fits(value, annotation):
            yield _section_needed(section, key_path, value)
        elif isinstance(value, (list, tuple)):  # params.yaml keeps the Garden's tuples.
            for element in value:
                if not isinstance(element, _PLAIN_TYPES) and not (
                    isinstance(element, dict) and _section_type(annotation)
                ):
                    yield (
                        f"{key_path} holds {_shown(element)}; a list may hold texts, "
                        "numbers, true and false."
                    )
        elif not isinstance(value, _PLAIN_TYPES):
            yield (
                f"{key_path}: YAML reads the value as a {type(value).__name__}, "
                f"{value}; put it in quotes."
            )


def _unknown_key(
    config: hyperparams.Config, key: Any, root: hyperparams.Config, path: str
) -> str:
    close = difflib.get_close_matches(str(key), _keys(config), n=1)
    meant = [_join(path, name) for name in close]
    # Often the key is right and its place is not: train_steps for trainer.train_steps.
    elsewhere = [
        other for other in _paths(root) if other.rpartition(".")[2] == str(key)
    ]
    if 0 < len(elsewhere) <= 3:
        meant = elsewhere
    suggestion = f" (did you mean {' or '.join(meant)}?)" if meant else ""
    where = f"{path} has the keys" if path else "the sections are"
    keys = ", ".join(_keys(config))
    return f"there is no key {_join(path, key)}{suggestion}; {where} {keys}."


def _section_needed(section: hyperparams.Config, key_path: str, value: Any) -> str:
    if isinstance(section, hyperparams.OneOfConfig) and value in _choices(section):
        advice = f"write {key_path}.type={value}"
    else:
        advice = f"set its keys: {', '.join(_keys(section))}"
    return f"{key_path} is a section, not a value; got {_shown(value)}; {advice}."


# ---- types ----


def type_mistakes(config: hyperparams.Config, path: str = "") -> dict[str, str]:
    """Compares all values with their fields' annotations.

    Also checks that the `type` of every `OneOfConfig` names one of its fields; of the
    others only the chosen one is looked into. Whole numbers may stand for numbers,
    lists for tuples. Annotations of unknown kinds accept everything.

    Args:
        config: Any configuration of the Garden.
        path: Dotted path of `config` itself.

    Returns:
        A sentence for each mistake, by the dotted path of the key.
    """
    annotations = typing.get_type_hints(type(config))
    names = _keys(config)
    mistakes = {}
    if isinstance(config, hyperparams.OneOfConfig):
        choices = _choices(config)
        names = [name for name in ("type", config.type) if name in names]
        if config.type is not None and config.type not in choices:
            mistakes[_join(path, "type")] = (
                f"{_join(path, 'type')} is {_shown(config.type)}"
                f"{did_you_mean(config.type, choices)}; it must be one of "
                f"{', '.join(choices)}."
            )
            return mistakes
    for name in names:
        value = getattr(config, name)
        key_path = _join(path, name)
        annotation = annotations.get(name, Any)
        if not _fits(value, annotation):
            mistakes[key_path] = (
                f"{key_path} is {_shown(value)}; it must be {_described(annotation)}"
                f"{_spelling_advice(value, annotation)}."
            )
        elif isinstance(value, hyperparams.Config):
            mistakes |= type_mistakes(value, key_path)
        elif isinstance(value, (list, tuple)):
            for place, element in enumerate(value):
                if isinstance(element, hyperparams.Config):
                    mistakes |= type_mistakes(element, f"{key_path}[{place}]")
    return mistakes


def _fits(value: Any, annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        # In a text that may also be absent, a None was not meant as a text.
        if value in ("None", "null") and type(None) in arguments:
            return False
        return any(_fits(value, argument) for argument in arguments)
    if isinstance(origin, type) and issubclass(origin, _SEQUENCES):
        if not isinstance(value, (list, tuple)):
            return False
        if issubclass(origin, tuple) and Ellipsis not in arguments:
            return len(value) == len(arguments) and all(map(_fits, value, arguments))
        # Null stands for a size not known yet in lists like [null, null, 3].
        return all(e is None or _fits(e, arguments[0]) for e in value)
    if not isinstance(annotation, type) or origin is not None:
        return True
    if issubclass(annotation, (list, tuple)):
        return isinstance(value, (list, tuple))
    if issubclass(annotation, params_dict.ParamsDict):
        return isinstance(value, params_dict.ParamsDict)
    if annotation in (int, float):
        numbers = (int, float) if annotation is float else int
        return isinstance(value, numbers) and not isinstance(value, bool)
    if annotation in _PLAIN_TYPES:
        return isinstance(value, annotation)
    return True


_DESCRIPTIONS = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
    bool: ("true or false", "true and false"),
    type(None): ("null", "null"),
}


def _described(annotation: Any) -> str:
    """'a whole number', 'a list of texts or null'..."""
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_described(argument) for argument in arguments)
    if isinstance(origin, type) and issubclass(origin, _SEQUENCES):
        _, elements = _DESCRIPTIONS.get(arguments[0], ("", "sections"))
        of_length = issubclass(origin, tuple) and Ellipsis not in arguments
        return f"a list of {f'{len(arguments)} ' if of_length else ''}{elements}"
    if isinstance(annotation, type) and issubclass(annotation, params_dict.ParamsDict):
        keys = ", ".join(_keys(annotation()))
        return f"a section with the keys {keys}" if keys else "a section"
    return _DESCRIPTIONS.get(annotation, ("a list", ""))[0]


def _spelling_advice(value: Any, annotation: Any) -> str:
    """How to write a value that YAML took for another type, as '; write ...'."""
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    allowed = typing.get_args(annotation) if is_union else (annotation,)
    if isinstance(value, (list, tuple)):
        element_types = [t for kind in allowed for t in typing.get_args(kind)][:1]
        wrong = [(v, t) for v in value for t in element_types if not _fits(v, t)]
        return _spelling_advice(*wrong[0]) if wrong else ""
    if value in ("None", "null") and type(None) in allowed:
        return "; write null without quotes"
    if isinstance(value, bool) and str in allowed:
        return "; YAML reads on, off, yes and no as true and false: put it in quotes"
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return f"; write {value.lower()} without quotes" if bool in allowed else ""
    if value is None and str in allowed:
        return "; write '' for none"
    try:
        number = float(value)
    except (TypeError, ValueError):
        return ""
    if isinstance(value, bool) or not math.isfinite(number):
        return ""
    if int in allowed and number.is_integer():
        return f"; write {int(number)}"
    if float in allowed:
        return f"; write {number}"
    return "; put it in quotes" if str in allowed else ""


# ---- the Garden's configurations ----


def _keys(config: hyperparams.Config) -> list[str]:
    return [name for name in vars(config) if name not in config.RESERVED_ATTR]


def _choices(config: hyperparams.OneOfConfig) -> list[str]:
    return [name for name in _keys(config) if name != "type"]


def _section_type(annotation: Any) -> type[hyperparams.Config] | None:
    """The configuration class that an annotation allows, in a list too, if any."""
    if isinstance(annotation, type) and issubclass(annotation, hyperparams.Config):
        return annotation
    arguments = map(_section_type, typing.get_args(annotation))
    return next(filter(None, arguments), None)


def _paths(config: hyperparams.Config, path: str = "") -> Iterator[str]:
    """Dotted paths of all keys, sections included."""
    for name in _keys(config):
        key_path = _join(path, name)
        yield key_path
        if isinstance(value := getattr(config, name), hyperparams.Config):
            yield from _paths(value, key_path)


def _join(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)


def _shown(value: Any) -> str:
    """A value as an error message quotes it: on one line and not too long."""
    if isinstance(value, params_dict.ParamsDict):
        return "a section"
    text = (
        json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    )
    return text if len(text) <= 80 else f"{text[:77]}..."


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
