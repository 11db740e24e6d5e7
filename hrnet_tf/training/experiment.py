"""From flags to an experiment's configuration, checked for its form.

Every configuration file changes the registered experiment in turn, and the overrides
change the result. A key that does not exist is refused before anything is changed,
with its full path and what was probably meant.

`field_types` then compares values with the types of their fields, and `validation`
checks what the values mean.
"""

import contextlib
import difflib
import os
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import tensorflow as tf
from official.core import config_definitions as cfg
from official.core import exp_factory
from official.modeling import hyperparams
from official.modeling.hyperparams import params_dict

from hrnet_tf import preset_files
from hrnet_tf.input_files import (
    LARGEST_YAML,
    MISSING,
    InputFileError,
    is_remote,
    parse_yaml,
    read_bytes,
)
from hrnet_tf.messages import UserError, did_you_mean, shortened, shown
from hrnet_tf.training import field_types
from hrnet_tf.training.field_types import join
from hrnet_tf.value_types import PLAIN_TYPES, keys
from hrnet_tf.weights.restoring import find_checkpoint

# For a[123456]=1, the Garden makes a list of so many values.
_FAR_INDEX = re.compile(r"\w\[\d{5,}\]\s*=")
# Of an override as messages quote it.
_LONGEST_OVERRIDE = 300  # characters


class ConfigError(UserError):
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

    A file is a path or the name of a preset, such as `pose/coco_w32_256x192`.
    `params_override` is one or more of: `a.b=value,c.d=value`, a YAML mapping, the path
    of a YAML file. `tpu` and `tf_data_service` (for the training and validation data)
    are addresses; None leaves them as configured.

    Raises:
        ConfigError: If the experiment, a file or a key does not exist, or a file or
            override cannot be read.
    """
    params = _registered_experiment(experiment)
    for path in config_files:
        source = f"--config_file={path}"
        _apply(params, _read_file(preset_files.resolve(path), source), path)
    if tpu is not None:
        params.override({"runtime": {"tpu": tpu}})
    if tf_data_service is not None:
        address = {"tf_data_service_address": tf_data_service}
        params.override({"task": {"train_data": address, "validation_data": address}})
    if isinstance(params_override, str):
        params_override = [params_override]
    for text in params_override:
        _apply(params, _read_override(text), "--params_override")
    if tf_data_service is not None and not _uses_data_service(params.task):
        raise ConfigError(
            f"--tf_data_service={tf_data_service} changes nothing here; set "
            "task.train_data.enable_tf_data_service, or that of validation_data, to "
            "true."
        )
    return params


def _uses_data_service(task: cfg.TaskConfig) -> bool:
    sources = (task.train_data, task.validation_data)
    return any(data.enable_tf_data_service for data in sources)


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
        content = read_bytes(path, LARGEST_YAML)
    except InputFileError as error:
        if error.fault == MISSING:
            raise ConfigError(
                f"{source}: there is no file and no preset {path or repr(path)}"
                f"{preset_files.nearest(path)}."
            ) from None
        raise ConfigError(f"{source} {error.reason}.") from None
    loaded = _load_yaml(content, source)
    if loaded is not None and not isinstance(loaded, dict):
        raise ConfigError(
            f"{source} holds {shown(loaded)}; it must hold a YAML mapping with the "
            "keys task, trainer or runtime."
        )
    changes = loaded or {}
    _resolve_checkpoint(changes.get("task"), os.path.dirname(path))
    return changes


def _resolve_checkpoint(task: Any, folder: str) -> None:
    """Makes a file's `init_checkpoint` absolute if it lies in the file's folder.

    Others stay as they are, from the working directory, unless they begin with "./".
    """
    path = task.get("init_checkpoint") if isinstance(task, dict) else None
    if not isinstance(path, str) or not path or os.path.isabs(path) or is_remote(path):
        return
    beside = os.path.join(folder, path.removeprefix("./"))
    if path.startswith("./") or find_checkpoint(beside):
        is_local = not is_remote(beside)
        task["init_checkpoint"] = os.path.abspath(beside) if is_local else beside


def _read_override(text: str) -> dict[Any, Any]:
    source = f"--params_override={shortened(text, _LONGEST_OVERRIDE)}"
    yaml_text = text
    # Not a.b=value, or nothing that the Garden can make of it: YAML or a file.
    with contextlib.suppress(ValueError, RecursionError):
        if not _FAR_INDEX.search(text):
            yaml_text = params_dict.nested_csv_str_to_json_str(text)
    loaded = _load_yaml(yaml_text, source)
    if isinstance(loaded, dict) or not text:
        return loaded or {}
    if tf.io.gfile.exists(text):
        return _read_file(text, source)
    raise ConfigError(
        f"{source} cannot be understood; write a.b=value,c.d=value (a value that holds "
        "a comma in quotes), a YAML mapping, or the path of a YAML file."
    )


def _load_yaml(text: str | bytes, source: str) -> Any:
    try:
        # The Garden's reading of numbers: it takes 1e-3, where YAML wants 1.0e-3.
        return parse_yaml(text, source, params_dict._LOADER)
    except InputFileError as error:
        raise ConfigError(
            f"{source} {error.reason} (values with special characters need quotes)."
        ) from None


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
        key_path = join(path, key)
        if key not in keys(config):
            yield _unknown_key(config, key, root, path)
            continue
        current = getattr(config, key)
        annotation = annotations.get(key, Any)
        section = current if isinstance(current, hyperparams.Config) else None
        if isinstance(value, dict):
            yield from _section_mistakes(section, annotation, value, root, key_path)
        elif section is not None and not field_types.fits(value, annotation):
            yield _section_needed(section, key_path, value)
        else:
            yield from _value_mistakes(value, current, annotation, key_path)


def _section_mistakes(
    section: hyperparams.Config | None,
    annotation: Any,
    changes: Mapping[Any, Any],
    root: hyperparams.Config,
    path: str,
) -> Iterator[str]:
    """Checks keys that are set below `path`, where a value may have stood so far."""
    if section is None:
        section_type = field_types.section_type(annotation)
        if section_type is None:
            yield (
                f"{path} is a value, not a section: it must be "
                f"{field_types.described(annotation)}; got the keys "
                f"{', '.join(map(str, changes))}."
            )
            return
        section = section_type()
    if keys(section):  # A bare `Config` takes any keys.
        yield from _key_mistakes(section, changes, root, path)


def _value_mistakes(
    value: Any, current: Any, annotation: Any, path: str
) -> Iterator[str]:
    """Checks that YAML read a value, or the elements of a list, as a plain type."""
    lists = (list, tuple)  # params.yaml keeps the Garden's tuples.
    if isinstance(value, lists):
        # The Garden would look for as many sections in the value that is there.
        of_sections = all(isinstance(element, dict) for element in value)
        is_list = isinstance(current, lists) or field_types.fits(value, annotation)
        if of_sections and current and not is_list:
            yield (
                f"{path} must be {field_types.described(annotation)}; got "
                f"{shown(value)}."
            )
            return
        for element in value:
            if not isinstance(element, PLAIN_TYPES) and not (
                isinstance(element, dict) and field_types.section_type(annotation)
            ):
                yield (
                    f"{path} holds {shown(element)}; a list may hold texts, numbers, "
                    "true and false."
                )
    elif not isinstance(value, PLAIN_TYPES):
        yield (
            f"{path}: YAML reads the value as a {type(value).__name__}, {value}; put "
            "it in quotes."
        )


def _unknown_key(
    config: hyperparams.Config, key: Any, root: hyperparams.Config, path: str
) -> str:
    close = difflib.get_close_matches(str(key), keys(config), n=1)
    meant = [join(path, name) for name in close]
    # Often the key is right and its place is not: train_steps for trainer.train_steps.
    elsewhere = [
        other for other in field_types.paths(root) if other.split(".")[-1] == str(key)
    ]
    if 0 < len(elsewhere) <= 3:
        meant = elsewhere
    suggestion = f" (did you mean {' or '.join(meant)}?)" if meant else ""
    where = f"{path} has the keys" if path else "the sections are"
    return (
        f"there is no key {join(path, key)}{suggestion}; {where} "
        f"{', '.join(keys(config))}."
    )


def _section_needed(section: hyperparams.Config, path: str, value: Any) -> str:
    if isinstance(section, hyperparams.OneOfConfig) and (
        value in field_types.choices(section)
    ):
        advice = f"write {path}.type={value}"
    else:
        advice = f"set its keys: {', '.join(keys(section))}"
    return f"{path} is a section, not a value; got {shown(value)}; {advice}."
