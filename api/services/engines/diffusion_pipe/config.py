"""A request's config -> the main TOML's table: flat, whole, checked. The rules are contract 1's, POST /start."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import toml

from api.models.job import Resources
from api.services.engines.diffusion_pipe.dataset import Inputs, normalized_dataset
from api.services.engines.diffusion_pipe.keys import (
    DEFAULT_OPTIMIZER,
    DTYPES,
    FAMILIES,
    GROUPS,
    KEYS,
    TABLES,
    Check,
    choice,
    number,
    switch,
    whole,
)
from api.services.engines.diffusion_pipe.model_types import TYPES, Named
from api.services.engines.diffusion_pipe.problems import Problems
from api.services.engines.diffusion_pipe.toml_text import same
from api.utils.errors import Invalid
from api.utils.paths import shortened

EVAL_FILE_MAX = 1 << 20

_DTYPE = choice(*DTYPES)[0]
_RATE = number(0, 1e3)[0]
_ADAPTER: Mapping[str, Check] = {
    "rank": whole(1, 10**7)[0],
    "dtype": _DTYPE,
    "dropout": number(0, 1)[0],
    "rank_dropout": number(0, 1)[0],
}
_OPTIMIZER: Mapping[str, Check] = {
    "lr": _RATE,
    "weight_decay": number(0, 1e6)[0],
    "momentum": number(0, 1)[0],
    "gradient_release": switch()[0],
}
_WANDB = ("wandb_api_key", "wandb_tracker_name", "wandb_run_name")


def normalized_config(
    model_type: object, raw: object, resources: Resources, inputs: Inputs, named: Named
) -> dict[str, Any]:
    """The flat config with defaults. Raises Invalid naming all that is wrong, or Forbidden."""
    config = _flat(raw)
    problems = Problems()
    for key, value in config.items():
        if key in KEYS:
            problems.add(f"config.{key}", KEYS[key].check(value))
    with problems.collecting():
        config["model"] = _model(model_type, config.get("model", {}), inputs, named)
    if "adapter" in config:
        with problems.collecting():
            config["adapter"] = _adapter(config["adapter"], model_type, inputs, named)
    with problems.collecting():
        config["optimizer"] = _optimizer(config.get("optimizer"))
    with problems.collecting():
        _check_monitoring(config.get("monitoring", {}))
    with problems.collecting():
        if isinstance(config.get("eval_datasets"), list):
            config["eval_datasets"] = _eval_datasets(config["eval_datasets"], inputs)
    with problems.collecting():
        if isinstance(config.get("output_dir"), str):
            config["output_dir"] = str(inputs.policy.resolve("config.output_dir", config["output_dir"]))
    config = _with_defaults(config)
    if not problems:
        _check_together(config, resources, problems)
    problems.check()
    return config


def _flat(raw: object) -> dict[str, Any]:
    """Nested groups flattened, nulls (absent, by contract 0) left out. Raises Invalid."""
    table = _object(raw, "config")
    flat = {k: v for k, v in table.items() if k not in GROUPS}
    problems = Problems()
    for group in GROUPS:
        with problems.collecting():
            for key, value in _object(table.get(group, {}), f"config.{group}").items():
                if key not in KEYS:
                    problems.add(f"config.{group}.{key}", _unknown(key, tuple(KEYS)))
                elif key in flat and not same(flat[key], value):
                    problems.add(f"config.{group}.{key}", f"was also given as config.{key}, with another value")
                else:
                    flat[key] = value
    for key in flat:
        if key not in KEYS and key not in TABLES:
            problems.add(f"config.{key}", _unknown(key, (*KEYS, *TABLES, *GROUPS)))
    problems.check()
    return flat


def _object(value: object, field: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise Invalid(field, "must be an object")
    return {k: v for k, v in value.items() if v is not None}


def _unknown(key: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(key[:100], known, n=3)
    return "is not a key that is known" + (f"; did you mean {', '.join(close)}?" if close else "")


def _model(model_type: object, value: object, inputs: Inputs, named: Named) -> dict[str, Any]:
    if not isinstance(model_type, str) or not model_type:
        raise Invalid("model_type", "is required: a string")
    known = sorted({*TYPES, *named.models})
    if model_type not in known:
        raise Invalid("model_type", f"{shortened(model_type)!r} is not one of {', '.join(known)}")
    model = _object(value, "config.model")
    if not same(model.get("type", model_type), model_type):
        raise Invalid("config.model.type", f"differs from model_type ({model_type})")
    model = {"type": model_type, "dtype": "bfloat16", **model}
    problems = Problems()
    problems.add("config.model.dtype", _DTYPE(model["dtype"]))
    kind = TYPES.get(model_type)
    missing = kind.missing(model) if kind is not None else None
    if kind is not None and missing is not None:
        problems.add(f"config.model.{kind.first_missing(model)}", f"a {model_type} model needs {missing}")
    for key, item in model.items():
        if key.endswith("_lr"):
            problems.add(f"config.model.{key}", _RATE(item))
        with problems.collecting():
            model[key] = _with_paths(item, f"config.model.{key}", inputs)
    problems.check()
    return model


def _with_paths(value: Any, field: str, inputs: Inputs) -> Any:
    """Every absolute string in [model] and [adapter] is a path; it must exist."""
    if isinstance(value, str):
        return inputs.model_path(field, value)
    if isinstance(value, list):
        return [_with_paths(item, f"{field}.{i}", inputs) for i, item in enumerate(value[:1000])] + value[1000:]
    if isinstance(value, Mapping):
        return {k: _with_paths(v, f"{field}.{k}", inputs) for k, v in value.items()}
    return value


def _adapter(value: object, model_type: object, inputs: Inputs, named: Named) -> dict[str, Any]:
    adapter = {"rank": 32, "dtype": "bfloat16", **_object(value, "config.adapter")}
    problems = Problems()
    known = sorted({"lora", "lokr", *named.adapters})
    kind = adapter.get("type")
    if not isinstance(kind, str) or kind not in known:
        problems.add("config.adapter.type", f"must be one of {', '.join(known)}")
    if "alpha" in adapter:
        problems.add("config.adapter.alpha", "must be left out: train.py always uses alpha = rank")
    if kind == "lokr" and model_type == "sdxl":
        problems.add("config.adapter.type", "sdxl cannot be trained with lokr; use lora")
    for key, check in _ADAPTER.items():
        if key in adapter:
            problems.add(f"config.adapter.{key}", check(adapter[key]))
    for key, item in adapter.items():
        with problems.collecting():
            adapter[key] = _with_paths(item, f"config.adapter.{key}", inputs)
    problems.check()
    return adapter


def _optimizer(value: object) -> dict[str, Any]:
    if value is None:
        return dict(DEFAULT_OPTIMIZER)
    optimizer = _object(value, "config.optimizer")
    problems = Problems()
    kind = optimizer.get("type")
    if not isinstance(kind, str) or not kind:
        problems.add("config.optimizer.type", "is required: the name of an optimizer, as adamw_optimi")
    for key, check in _OPTIMIZER.items():
        if key in optimizer:
            problems.add(f"config.optimizer.{key}", check(optimizer[key]))
    betas = optimizer.get("betas")
    if betas is not None and not (isinstance(betas, list) and betas and all(_BETA(b) is None for b in betas)):
        problems.add("config.optimizer.betas", "must be a list of numbers from 0 to 1")
    eps = optimizer.get("eps")
    if eps is not None and any(_RATE(e) is not None for e in (eps if isinstance(eps, list) else [eps])):
        problems.add("config.optimizer.eps", "must be a number from 0, or a list of such")
    if "beta2_half_life" in optimizer and betas is None:
        problems.add("config.optimizer.betas", "is required beside beta2_half_life")
    problems.check()
    return optimizer


_BETA = number(0, 1)[0]


def _check_monitoring(value: object) -> None:
    monitoring = _object(value, "config.monitoring")
    wanted = monitoring.get("enable_wandb", False)
    if not isinstance(wanted, bool):
        raise Invalid("config.monitoring.enable_wandb", "must be true or false")
    for key in _WANDB if wanted else ():
        if not isinstance(monitoring.get(key), str):
            raise Invalid(f"config.monitoring.{key}", "is required (a string) where enable_wandb is true")


def _eval_datasets(entries: list[Any], inputs: Inputs) -> list[dict[str, Any]]:
    problems = Problems()
    done: list[dict[str, Any]] = []
    names: set[str] = set()
    for index, entry in enumerate(entries):
        field = f"config.eval_datasets.{index}"
        with problems.collecting():
            if not isinstance(entry, Mapping) or set(entry) != {"name", "config"}:
                raise Invalid(field, "must be an object with name and config (train.py fails with a plain string)")
            name = entry["name"]
            if not isinstance(name, str) or not 1 <= len(name) <= 200 or not name.isprintable():
                raise Invalid(f"{field}.name", "must be 1 to 200 printable characters")
            if name in names or name == "train":
                raise Invalid(f"{field}.name", f"{name!r} is already the name of a series of measurements")
            names.add(name)
            done.append({"name": name, "config": _eval_config(entry["config"], f"{field}.config", inputs)})
    problems.check()
    return done


def _eval_config(value: object, field: str, inputs: Inputs) -> dict[str, Any] | str:
    """A dataset of the same shape, or the path of a TOML with one; its directories are checked alike."""
    if not isinstance(value, str):
        return normalized_dataset(value, field, inputs)
    path = inputs.file(field, value)
    try:
        with open(path, "rb") as file:
            data = file.read(EVAL_FILE_MAX + 1)
        if len(data) > EVAL_FILE_MAX:
            raise Invalid(field, f"{path} is larger than {EVAL_FILE_MAX >> 20} MiB")
        table = toml.loads(data.decode("utf-8"))
    except OSError as problem:
        raise Invalid(field, f"{path} cannot be read: {problem.strerror}") from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as problem:
        if isinstance(problem, Invalid):
            raise
        raise Invalid(field, f"{path} is not TOML that train.py can read: {problem}") from None
    normalized_dataset(table, field, inputs)
    _check_file(table, field)
    return str(path)


def _check_file(table: Mapping[str, Any], field: str) -> None:
    """A file goes to train.py as it is: what only a request may say must not stand in it."""
    if "directories" in table or any("path_id" in entry for entry in table["directory"]):
        raise Invalid(field, "the file must say directory and path, as train.py reads them")
    for index, entry in enumerate(table["directory"]):
        if not entry["path"].startswith("/"):
            raise Invalid(f"{field}.directory.{index}.path", "must be an absolute path")


def _with_defaults(config: dict[str, Any]) -> dict[str, Any]:
    """A default never stands beside another key of its family."""
    taken = {key for family in FAMILIES if any(k in config for k in family) for key in family}
    defaults = {k: row.default for k, row in KEYS.items() if row.default is not None and k not in taken}
    return {**defaults, **config}


def _check_together(config: Mapping[str, Any], resources: Resources, problems: Problems) -> None:
    stages = config["pipeline_stages"]
    gpus = max(1, resources.gpus, len(resources.gpu_ids))
    if gpus % stages:
        problems.add("config.pipeline_stages", f"is {stages}, which does not divide the number of GPUs ({gpus})")
    if config.get("blocks_to_swap"):
        if "adapter" not in config:
            problems.add("config.blocks_to_swap", "needs an adapter (config.adapter)")
        if stages != 1:
            problems.add("config.blocks_to_swap", "needs config.pipeline_stages = 1")
    if config["optimizer"].get("gradient_release") and gpus != stages:
        problems.add("config.optimizer.gradient_release", "needs as many pipeline_stages as GPUs")
    split = config.get("partition_split")
    if config["partition_method"] == "manual" and (not isinstance(split, list) or len(split) != stages - 1):
        problems.add("config.partition_split", f"must name {stages - 1} layers where partition_method is manual")
