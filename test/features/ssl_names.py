"""Small models of torchaudio (wav2vec 2.0, WavLM), and their weights under others' names."""

import re

import torch
from torchaudio.models import wav2vec2_model, wavlm_model

LAYERS = [(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2
DIM, DEPTH, HEADS, FF = 32, 2, 2, 48


def make_model(mode="layer_norm", bias=True, seed=0, wavlm=False):
    """torchaudio's model with random weights, also where it would start with 0 and 1."""
    torch.manual_seed(seed)
    build, more = wav2vec2_model, {}
    if wavlm:
        build, more = wavlm_model, {"encoder_num_buckets": 320, "encoder_max_distance": 800}
    model = build(
        extractor_mode=mode, extractor_conv_layer_config=LAYERS, extractor_conv_bias=bias,
        encoder_embed_dim=DIM, encoder_projection_dropout=0.0, encoder_pos_conv_kernel=128,
        encoder_pos_conv_groups=16, encoder_num_layers=DEPTH, encoder_num_heads=HEADS,
        encoder_attention_dropout=0.0, encoder_ff_interm_features=FF,
        encoder_ff_interm_dropout=0.0, encoder_dropout=0.0,
        encoder_layer_norm_first=mode == "layer_norm", encoder_layer_drop=0.0, aux_num_out=None,
        **more,
    ).eval()  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def renamed(state, rules):
    out = {}
    for name, tensor in state.items():
        new = name
        for pattern, replacement in rules:
            new = re.sub(pattern, replacement, new)
        out[new] = tensor.clone()
    return out


def split(state):
    """WavLM's matrix of queries, keys and values as three, as everywhere but in torchaudio."""
    out = {}
    for name, tensor in state.items():
        if ".attention.attention.in_proj_" in name:
            for which, part in zip("qkv", tensor.chunk(3), strict=True):
                own = name.replace("attention.in_proj_", f"{which}_proj.")
                out[own] = part
        else:
            out[name.replace(".attention.attention.", ".attention.")] = tensor
    return out


def fairseq(state):
    """As in fairseq's fine-tuned checkpoints, with what belongs to other parts."""
    grouped = "feature_extractor.conv_layers.1.layer_norm.weight" not in state
    state = split(state)
    rules = [
        (r"(conv_layers\.\d+)\.conv\.", r"\1.0."),
        (r"(conv_layers\.\d+)\.layer_norm\.", r"\1.2." if grouped else r"\1.2.1."),
        (r"\.gru_rel_pos_linear\.", ".grep_linear."),
        (r"\.gru_rel_pos_const$", ".grep_a"),
        (r"\.rel_attn_embed\.", ".relative_attention_bias."),
        (r"^encoder\.feature_projection\.projection\.", "post_extract_proj."),
        (r"^encoder\.feature_projection\.layer_norm\.", "layer_norm."),
        (r"^encoder\.transformer\.pos_conv_embed\.conv\.", "encoder.pos_conv.0."),
        (r"parametrizations\.weight\.original0$", "weight_g"),
        (r"parametrizations\.weight\.original1$", "weight_v"),
        (r"^encoder\.transformer\.(layers\.\d+)\.layer_norm\.",
         r"encoder.\1.self_attn_layer_norm."),
        (r"^encoder\.transformer\.(layers\.\d+)\.attention\.", r"encoder.\1.self_attn."),
        (r"^encoder\.transformer\.(layers\.\d+)\.feed_forward\.intermediate_dense\.",
         r"encoder.\1.fc1."),
        (r"^encoder\.transformer\.(layers\.\d+)\.feed_forward\.output_dense\.", r"encoder.\1.fc2."),
        (r"^encoder\.transformer\.", "encoder."),
        (r"^", "w2v_encoder.w2v_model."),
    ]
    others = {"mask_emb": torch.zeros(DIM), "quantizer.vars": torch.zeros(1, 4, 2)}
    others = {f"w2v_encoder.w2v_model.{k}": v for k, v in others.items()}
    return {**renamed(state, rules), **others, "w2v_encoder.proj.weight": torch.zeros(3, DIM)}


def hugging_face(state):
    """As transformers' Wav2Vec2ForCTC saves them."""
    rules = [
        (r"^encoder\.feature_projection\.", "feature_projection."),
        (r"^encoder\.transformer\.", "encoder."),
        (r"^", "wav2vec2."),
    ]
    others = {"wav2vec2.masked_spec_embed": torch.zeros(DIM), "lm_head.weight": torch.zeros(3, DIM)}
    return {**renamed(split(state), rules), **others}
