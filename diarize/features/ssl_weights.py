"""Weights of wav2vec 2.0-type models, converted from several naming schemes to torchaudio's.

Three schemes are known: fairseq (``feature_extractor.conv_layers.0.0.weight``; that of the
original WavLM as well), Hugging Face and torchaudio
(``feature_extractor.conv_layers.0.conv.weight``), each with or without a prefix such as
``wav2vec2.``, ``hubert.`` or ``w2v_encoder.w2v_model.``.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from diarize.errors import DiarizeError
from diarize.tensor_file import check_dense, read_torch

BUNDLE_PREFIX = "torchaudio:"
State = dict[str, Tensor]

# "features" is the name in our own models.
_CONV = re.compile(
    r"^(?:.*\.)?(?:feature_extractor|features(?:\.conv)?)\.conv_layers\.(\d+)\.(.+)$"
)
# fairseq's names of the members of one layer: Sequential(conv, dropout, norm, GELU); the norm
# is a GroupNorm, or for "layer_norm" Sequential(transpose, LayerNorm, transpose).
_FAIRSEQ_MEMBER = (("0.", "conv."), ("2.1.", "layer_norm."), ("2.", "layer_norm."))
_FAIRSEQ_ENCODER = (
    (r"^post_extract_proj\.", "feature_projection.projection."),
    (r"^layer_norm\.", "feature_projection.layer_norm."),
    (r"^encoder\.pos_conv\.0\.", "transformer.pos_conv_embed.conv."),
    (r"^encoder\.layers\.(\d+)\.self_attn_layer_norm\.", r"transformer.layers.\1.layer_norm."),
    (r"^encoder\.layers\.(\d+)\.self_attn\.", r"transformer.layers.\1.attention."),
    (r"^encoder\.layers\.(\d+)\.fc1\.", r"transformer.layers.\1.feed_forward.intermediate_dense."),
    (r"^encoder\.layers\.(\d+)\.fc2\.", r"transformer.layers.\1.feed_forward.output_dense."),
    (r"^encoder\.(layers\.\d+\.final_layer_norm|layer_norm)\.", r"transformer.\1."),
)
_HF_ENCODER = (
    (r"^feature_projection\.", "feature_projection."),
    (r"^encoder\.(pos_conv_embed|layers|layer_norm)\.", r"transformer.\1."),
)
_TORCHAUDIO_ENCODER = ((r"^encoder\.(feature_projection|transformer)\.", r"\1."),)
_LAST = (
    (r"\.conv\.weight_g$", ".conv.parametrizations.weight.original0"),
    (r"\.conv\.weight_v$", ".conv.parametrizations.weight.original1"),
    # WavLM, as its authors name the relative positions.
    (r"\.attention\.grep_linear\.", ".attention.gru_rel_pos_linear."),
    (r"\.attention\.grep_a$", ".attention.gru_rel_pos_const"),
    (r"\.attention\.relative_attention_bias\.", ".attention.rel_attn_embed."),
)
# torchaudio's WavLM has one matrix for queries, keys and values.
_PROJECTION = re.compile(r"^(transformer\.layers\.\d+\.attention)\.([qkv])_proj\.(weight|bias)$")
_OUTPUT = re.compile(r"^(transformer\.layers\.\d+\.attention)\.(out_proj\..+)$")
_LAYER = re.compile(r"^transformer\.layers\.(\d{1,9})\.")


def read_state(weights: str, cache: str | None = None) -> State:
    """Return all tensors of ``weights`` by their original names.

    ``weights`` is a file (a checkpoint of PyTorch, of fairseq or of this package, or a
    ``.safetensors`` file), or ``torchaudio:<bundle>`` such as ``torchaudio:MMS_FA``, which
    is downloaded into the directory ``cache`` if it is missing there.  Raises DiarizeError for
    a file that cannot be read, and for a bundle without ``cache``.
    """
    if weights.startswith(BUNDLE_PREFIX):
        return _read_bundle(weights.removeprefix(BUNDLE_PREFIX), cache)
    path = Path(weights)
    if not path.is_file():
        raise DiarizeError(
            f"no weights of the speech model at {weights}: name a file, or "
            f"{BUNDLE_PREFIX}MMS_FA with a cache directory"
        )
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return _read_torch(path)


def conv_state(state: Mapping[str, Tensor]) -> State:
    """Return the convolutional layers in ``state`` as ``conv_layers.<i>.(conv|layer_norm).*``.

    Other tensors of these layers keep their names, so that a check can list them.
    """
    out = {}
    for name, tensor in state.items():
        found = _CONV.match(name)
        if not found:
            continue
        member = found[2]
        for theirs, ours in _FAIRSEQ_MEMBER:
            if member.startswith(theirs):
                member = ours + member.removeprefix(theirs)
                break
        out[f"conv_layers.{found[1]}.{member}"] = tensor
    return out


def encoder_state(state: Mapping[str, Tensor]) -> State:
    """Return the Transformer in ``state`` by the names of torchaudio's ``encoder``.

    Heads, quantizers and masks of pretraining are omitted.
    """
    prefixes = [n[: n.index("feature_extractor.")] for n in state if "feature_extractor." in n]
    prefix = prefixes[0] if prefixes else ""
    names = {n.removeprefix(prefix): n for n in state if n.startswith(prefix)}
    if any(n.startswith("encoder.transformer.") for n in names):
        rules = _TORCHAUDIO_ENCODER
    elif any(n.startswith("post_extract_proj.") for n in names):
        rules = _FAIRSEQ_ENCODER
    else:
        rules = _HF_ENCODER
    out = {}
    for name, original in names.items():
        for pattern, replacement in rules:
            ours, count = re.subn(pattern, replacement, name)
            if count:
                for old, new in _LAST:
                    ours = re.sub(old, new, ours)
                out[ours] = state[original]
                break
    return _joined_projections(out) if _is_wavlm(out) else out


def _is_wavlm(encoder: Mapping[str, Tensor]) -> bool:
    return any(name.endswith(".attention.gru_rel_pos_const") for name in encoder)


def _joined_projections(encoder: State) -> State:
    """Return ``encoder`` with one matrix for queries, keys and values, as torchaudio's WavLM.

    A projection that is not complete, or of several sizes, keeps its name, so that a check can
    list it.
    """
    out, parts = {}, {}
    for name, tensor in encoder.items():
        found = _PROJECTION.match(name)
        if found:
            parts.setdefault((found[1], found[3]), {})[found[2]] = tensor
        else:
            out[_OUTPUT.sub(r"\1.attention.\2", name)] = tensor
    for (where, kind), three in parts.items():
        if len(three) == 3 and len({(t.shape, t.dtype) for t in three.values()}) == 1:
            joined = torch.cat([three[which] for which in "qkv"])
            out[f"{where}.attention.in_proj_{kind}"] = joined
        else:
            out |= {f"{where}.{which}_proj.{kind}": tensor for which, tensor in three.items()}
    return out


def section_of(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the section ``ssl_full`` of a configuration that fits the tensors of ``state``.

    Without a Transformer it has ``conv`` only; {} without convolutional layers.  The number of
    heads is in the tensors of WavLM alone; it is otherwise that of the published models, 12 for
    768 dimensions and 16 for more.
    """
    conv, encoder = conv_state(state), encoder_state(state)
    if "conv_layers.0.conv.weight" not in conv:
        return {}
    norm = "layer" if "conv_layers.1.layer_norm.weight" in conv else "group"
    section: dict[str, Any] = {"conv": {"norm": norm, "bias": "conv_layers.0.conv.bias" in conv}}
    projection = encoder.get("feature_projection.projection.weight")
    inner = encoder.get("transformer.layers.0.feed_forward.intermediate_dense.weight")
    constants = encoder.get("transformer.layers.0.attention.gru_rel_pos_const")
    if any(tensor is None or tensor.ndim != 2 for tensor in (projection, inner)) or (
        constants is not None and constants.ndim < 2
    ):
        return section
    dim = len(projection)
    return {
        **section,
        "model": "wav2vec2" if constants is None else "wavlm",
        "dim": dim,
        "layers": 1 + max(int(found[1]) for name in encoder if (found := _LAYER.match(name))),
        "heads": (12 if dim <= 768 else 16) if constants is None else constants.shape[1],
        "ff_dim": len(inner),
        "norm_first": norm == "layer",
    }


def check_tensors(
    source: str,
    wanted: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    section: Mapping[str, Any] | None = None,
) -> None:
    """Raise DiarizeError listing all missing and extra tensors of ``found`` and wrong shapes.

    ``section`` is the configuration that the file fits, for the message.
    """

    def sizes(names: list[str], state: Mapping[str, Tensor]) -> str:
        return ", ".join(f"{n} {tuple(state[n].shape)}" for n in sorted(names))

    if not found:
        raise DiarizeError(
            f"{source} contains no tensor of a wav2vec 2.0-type model "
            "(feature_extractor.conv_layers)"
        )
    missing = [n for n in wanted if n not in found]
    extra = [n for n in found if n not in wanted]
    other = [n for n in wanted if n in found and found[n].shape != wanted[n].shape]
    faults = []
    if missing:
        faults.append(f"missing: {sizes(missing, wanted)}")
    if extra:
        faults.append(f"extra: {sizes(extra, found)}")
    if other:
        faults.append(f"of another size: {sizes(other, found)}")
    if faults:
        remedy = f"; ssl_full of the file: {_flow(section)}" if section else ""
        raise DiarizeError(
            f"{source} does not have the tensors of the configured speech model: "
            + "; ".join(faults)
            + remedy
        )


def _flow(section: Mapping[str, Any]) -> str:
    """Return ``section`` as YAML in one line."""
    options = {"default_flow_style": True, "sort_keys": False, "width": 1000}
    return yaml.safe_dump(dict(section), **options).strip()


def _read_bundle(name: str, cache: str | None) -> State:
    from torchaudio import pipelines

    bundle = getattr(pipelines, name, None)
    if bundle is None or not hasattr(bundle, "get_model"):
        raise DiarizeError(f"torchaudio has no bundle '{name}'; MMS is {BUNDLE_PREFIX}MMS_FA")
    if not cache:
        raise DiarizeError(
            f"{BUNDLE_PREFIX}{name} is a large download: name the directory to keep it in (cache)"
        )
    try:
        Path(cache).mkdir(parents=True, exist_ok=True)
        return bundle.get_model(dl_kwargs={"model_dir": cache}).state_dict()
    except (OSError, RuntimeError) as err:
        raise DiarizeError(
            f"cannot get {BUNDLE_PREFIX}{name} into {cache}: {err}; without a network put its "
            "file there by hand"
        ) from err


def _read_torch(path: Path) -> State:
    payload = read_torch(path, "use another file", old=True)
    if isinstance(payload, dict) and isinstance(payload.get("model"), dict):
        payload = payload["model"]
    if not isinstance(payload, dict):
        raise DiarizeError(f"{path} contains no named tensors but a {type(payload).__name__}")
    state = {n: t for n, t in payload.items() if isinstance(n, str) and isinstance(t, Tensor)}
    check_dense(path, state)
    return state


def _read_safetensors(path: Path) -> State:
    """Return the floating point tensors of a file."""
    from safetensors import SafetensorError  # needed for such a file only
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except OSError as err:
        raise DiarizeError(f"cannot read {path}: {err.strerror or err}") from err
    except (SafetensorError, KeyError, ValueError, RuntimeError, MemoryError) as err:
        raise DiarizeError(f"{path} is damaged or no safetensors file ({err})") from err
    return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
