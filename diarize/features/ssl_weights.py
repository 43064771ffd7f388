"""Weights of wav2vec 2.0-type models, converted from several naming schemes to torchaudio's.

Three schemes are known: fairseq (``feature_extractor.conv_layers.0.0.weight``), Hugging Face
and torchaudio (``feature_extractor.conv_layers.0.conv.weight``), each with or without a
prefix such as ``wav2vec2.`` or ``w2v_encoder.w2v_model.``.
"""

import argparse
import contextlib
import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from diarize.errors import DiarizeError

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
_WEIGHT_NORM = (
    (r"\.conv\.weight_g$", ".conv.parametrizations.weight.original0"),
    (r"\.conv\.weight_v$", ".conv.parametrizations.weight.original1"),
)


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
            f"no weights of the speech model at {weights}: give a file, or "
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
                for old, new in _WEIGHT_NORM:
                    ours = re.sub(old, new, ours)
                out[ours] = state[original]
                break
    return out


def check_tensors(source: str, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raise DiarizeError listing all missing and extra tensors of ``found`` and wrong shapes."""

    def sizes(names: list[str], state: Mapping[str, Tensor]) -> str:
        return ", ".join(f"{n} {tuple(state[n].shape)}" for n in sorted(names))

    if not found:
        raise DiarizeError(
            f"{source} holds no tensor of a wav2vec 2.0-type model (feature_extractor.conv_layers)"
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
        raise DiarizeError(
            f"{source} is no wav2vec 2.0-type model with layer norm (as MMS and XLS-R): "
            + "; ".join(faults)
        )


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
    try:
        # Old fairseq checkpoints contain their command line, which is plain data.
        # (torch 2.4 has no option for this.)
        allow = getattr(torch.serialization, "safe_globals", contextlib.nullcontext)
        with allow([argparse.Namespace]):
            payload = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as err:
        raise DiarizeError(f"cannot read {path}: {err.strerror or err}") from err
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, LookupError) as err:
        reason = " ".join(str(err).split())[:160] or type(err).__name__
        raise DiarizeError(
            f"{path} is damaged, or holds more than tensors and plain values and is not opened "
            f"for safety ({reason})"
        ) from err
    if isinstance(payload, dict) and isinstance(payload.get("model"), dict):
        payload = payload["model"]
    if not isinstance(payload, dict):
        raise DiarizeError(f"{path} holds no named tensors but a {type(payload).__name__}")
    return {n: t for n, t in payload.items() if isinstance(n, str) and isinstance(t, Tensor)}


def _read_safetensors(path: Path) -> State:
    """Return the floating point tensors of a file."""
    from safetensors import SafetensorError  # needed for such a file only
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except OSError as err:
        raise DiarizeError(f"cannot read {path}: {err.strerror or err}") from err
    except (SafetensorError, KeyError, ValueError) as err:
        raise DiarizeError(f"{path} is damaged or no safetensors file ({err})") from err
    return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
