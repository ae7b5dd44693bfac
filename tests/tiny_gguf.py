"""A llama of half a megabyte with random weights, for llama.cpp: what it says means nothing, but it is a real model.

Run by an interpreter that has `gguf`: python tiny_gguf.py FILE. The same file each time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

CONTEXT, WIDTH, LAYERS, HEADS, INNER = 2048, 64, 2, 4, 128
SPECIAL = ("<unk>", "<s>", "</s>")
WORDS = ("billing", "delivery", "access", "yes", "no")
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def vocabulary() -> list[str]:
    """301 pieces: the special ones, every byte, then what can be read: letters, digits, signs and a few words."""
    readable = [*"abcdefghijklmnopqrstuvwxyz", "▁", *(f"▁{word}" for word in WORDS), *"0123456789"]
    return [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *readable]


def weights(pieces: int) -> dict[str, np.ndarray]:
    """Every tensor by its name. Raw bytes get small logits and words large ones, so that answers can be read."""
    rng = np.random.default_rng(9)

    def noise(*shape: int, scale: float = 0.3) -> np.ndarray:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    found = {"token_embd": noise(pieces, WIDTH, scale=1.0), "output": noise(pieces, WIDTH, scale=0.35)}
    found["output"][: len(SPECIAL) + 256] *= 0.05
    found["output"][[place for place, piece in enumerate(vocabulary()) if piece[1:] in WORDS]] *= 1.5
    found["output"][SPECIAL.index("</s>")] = noise(WIDTH, scale=0.35)  # answers end, most of them
    for layer in range(LAYERS):
        found |= {f"blk.{layer}.attn_{name}": noise(WIDTH, WIDTH) for name in ("q", "k", "v", "output")}
        found |= {f"blk.{layer}.ffn_{name}": noise(INNER, WIDTH) for name in ("gate", "up")}
        found[f"blk.{layer}.ffn_down"] = noise(WIDTH, INNER)
    norms = ["output_norm", *(f"blk.{layer}.{name}_norm" for layer in range(LAYERS) for name in ("attn", "ffn"))]
    return found | {name: np.ones(WIDTH, dtype=np.float32) for name in norms}


def write(path: Path) -> None:
    """The model as a GGUF file."""
    import gguf  # type: ignore[import-not-found]

    pieces = vocabulary()
    first_readable = len(SPECIAL) + 256
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([piece.encode() for piece in pieces])
    writer.add_token_scores([-float(place) for place in range(len(pieces))])
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * (len(pieces) - first_readable)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)
    for name, tensor in weights(len(pieces)).items():
        writer.add_tensor(f"{name}.weight", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
