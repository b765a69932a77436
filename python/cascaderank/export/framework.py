"""The model in torch, fp32: what the graph is made from, and what it is compared with.

It is the only module that runs torch. Rows are encoded by the tokenizer's own pair encoding, never by the templates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascaderank.errors import ModelError
from cascaderank.export.decide import Decision
from cascaderank.export.decoders import decoder_logits, load_decoder
from cascaderank.export.decoders.form import answer_ids
from cascaderank.export.extras import first_line, quiet, require
from cascaderank.export.heads import composite, head_layer, pool
from cascaderank.export.pairs import Pair, texts_of
from cascaderank.export.source import Source
from cascaderank.manifest import Wording

Float32 = NDArray[np.float32]


_NO_TOKENIZER = (
    "has no tokenizer.json, nor files transformers can make one from here. Where the packages of its slow tokenizer "
    "are installed, AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) writes it."
)


def load_tokenizer(source: Source) -> Any:
    """The fast tokenizer of transformers; raises ``ModelError`` where there is only a slow one."""
    transformers = require("transformers")
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                str(source.weights), use_fast=True, trust_remote_code=False
            )
    except Exception as error:
        raise ModelError(f"{source.name}: {_NO_TOKENIZER} transformers says: {first_line(error)}") from error
    if not tokenizer.is_fast:
        raise ModelError(f"{source.name}: {_NO_TOKENIZER} Its own is the slow {type(tokenizer).__name__}")
    rows = source.config.get("vocab_size")
    if not isinstance(rows, int) or len(tokenizer) > rows:
        raise ModelError(f"{source.name}: {len(tokenizer)} tokens in its tokenizer, {rows} embeddings in its config")
    return tokenizer


def length_limit(tokenizer: Any) -> int | None:
    """The tokenizer's model_max_length, None where transformers fills in a huge number."""
    limit = tokenizer.model_max_length
    return int(limit) if limit < 1_000_000 else None


def load_module(source: Source, decision: Decision) -> Any:
    """The network as a torch module in evaluation mode, fp32: the transformer alone, or with its pooling and head."""
    if decision.kind == "decoder":
        return load_decoder(source)
    transformers = require("transformers")
    whole = decision.kind == "cross_encoder" and not decision.head
    loader = transformers.AutoModelForSequenceClassification if whole else transformers.AutoModel
    try:
        with quiet():
            model, loading = loader.from_pretrained(
                str(source.weights),
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are named below
                trust_remote_code=False,
                attn_implementation="eager",  # the form ONNX Runtime can fuse
                **decision.family.loading,
            )
    except Exception as error:
        raise ModelError(
            f"{source.name}: transformers cannot load it: {first_line(error)}; give the whole folder that "
            "save_pretrained wrote, with its model.safetensors"
        ) from error
    if mismatched := sorted(loading["mismatched_keys"]):
        key = mismatched[0]
        if not isinstance(key, str):  # some releases of transformers put the shapes beside the name
            key = key[0]
        raise ModelError(
            f"{source.name}: its config.json makes {key} {list(model.state_dict()[key].shape)}, its weights hold "
            f"another shape ({len(mismatched)} such in all); correct the number of labels (id2label), or give the "
            "folder of a finished model"
        )
    # A missing pooler is harmless to an encoder, whose hidden states are read; any other random weight is not.
    missing = [name for name in loading["missing_keys"] if whole or not name.startswith("pooler.")]
    if missing:
        raise ModelError(
            f"{source.name}: its weights lack {', '.join(sorted(missing)[:3])} ({len(missing)} in all), which would be "
            "random; give the folder of a finished model"
        )
    if decision.composed:
        model = composite(model, [head_layer(source, module) for module in decision.head], decision.graph_pooling)
    return model.float().eval()


class Reference:
    """Scores pairs in torch. ``label`` says which versions."""

    def __init__(self, decision: Decision, tokenizer: Any, model: Any) -> None:
        self._decision = decision
        self._tokenizer = tokenizer
        self._model = model
        self._torch = require("torch")
        self.label = f"torch {self._torch.__version__.partition('+')[0]} fp32"

    def logits(self, pairs: Sequence[Pair]) -> Float32:
        """Cross-encoder: the logit of each pair, float32 ``[pairs]``; of two columns the second minus the first."""
        decision = self._decision
        if decision.template is not None:
            answers = answer_ids(decision.template, self._tokenizer, decision.family.name)
            return decoder_logits(decision.template, self._tokenizer, self._model, answers, decision.max_length, pairs)
        queries, documents = texts_of(pairs)
        rows = []
        for query, document in zip(queries, documents, strict=True):
            encoded = self._encode(
                [Wording(decision.query_prefix).around(query)], [Wording(decision.document_prefix).around(document)]
            )
            with self._torch.no_grad():
                output = self._model(**encoded)
            rows.append(getattr(output, "logits", output)[0].double().numpy())
        columns = np.stack(rows)
        values = columns[:, 1] - columns[:, 0] if decision.columns == 2 else columns[:, 0]
        return np.asarray(values, np.float32)

    def vectors(self, texts: Sequence[str], side: str) -> list[Float32]:
        """Encoders: float32 ``[1, dimension]`` of each text, or ``[tokens, dimension]`` for late interaction.

        ``side`` is "query" or "document".
        """
        decision = self._decision
        prefix = decision.query_prefix if side == "query" else decision.document_prefix
        return [array for text in texts for array in self._vectors(Wording(prefix).around(text), side)]

    def _vectors(self, text: str, side: str) -> Iterator[Float32]:
        decision, torch = self._decision, self._torch
        late = decision.kind == "late_interaction"
        encoded, kept = self._encode_token_side(text, side) if late else (self._encode([text]), None)
        with torch.no_grad():
            output = self._model(**encoded)
            values = getattr(output, "last_hidden_state", output)
            if kept is not None:
                values = values[0][torch.tensor(kept)]
            elif decision.pooling != "none":
                values = pool(torch, values, encoded["attention_mask"], decision.pooling)
            if decision.normalize:
                values = torch.nn.functional.normalize(values, dim=-1)
        yield np.asarray(values.numpy(), np.float32)

    def _encode(self, texts: list[str], others: list[str] | None = None, max_length: int | None = None) -> Any:
        # Text is text: without split_special_tokens a document that contains "[SEP]" would get the token.
        encoded = self._tokenizer(
            texts,
            others,
            truncation="longest_first" if others is None else "only_second",
            max_length=max_length or self._decision.max_length,
            return_tensors="pt",
            split_special_tokens=True,
        )
        if getattr(self._model.config, "type_vocab_size", 0) < 2:
            encoded.pop("token_type_ids", None)  # BERT's tokenizer makes 0/1 where the model has one segment or none
        return encoded

    def _encode_token_side(self, text: str, side: str) -> tuple[Any, list[int]]:
        """Late interaction as PyLate encodes it: a marker after the first token, queries padded with mask tokens.

        Returns the row and the positions whose vectors take part.
        """
        decision, tokenizer, torch = self._decision, self._tokenizer, self._torch
        query = side == "query"
        marker = decision.query_marker if query else decision.document_marker
        limit = decision.query_length if query and decision.query_length else decision.max_length
        ids = self._encode([text], max_length=limit - bool(marker))["input_ids"][0].tolist()
        if marker:
            ids.insert(1, tokenizer.convert_tokens_to_ids(marker))
        vocabulary = tokenizer.get_vocab()
        skipped = set() if query else {vocabulary[word] for word in decision.skip_tokens if word in vocabulary}
        kept = [place for place, token in enumerate(ids) if token not in skipped]
        mask = [1] * len(ids)
        if query and decision.query_length:
            expansion = decision.query_length - len(ids)
            ids += [tokenizer.mask_token_id] * expansion
            mask += [int(decision.attend_to_expansion)] * expansion
            kept = list(range(len(ids)))
        return {"input_ids": torch.tensor([ids]), "attention_mask": torch.tensor([mask])}, kept
