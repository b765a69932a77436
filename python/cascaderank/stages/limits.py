"""How much of a document a request lets the models read, below what their windows take."""

from __future__ import annotations

from cascaderank.kernels import Template
from cascaderank.request import Request
from cascaderank.stages.base import ModelPart

STORED_WHOLE = "stored vectors are of whole documents; max_document_tokens does not cut those"


def limited(form: Template, part: ModelPart, request: Request, query_length: int = 0) -> Template:
    """``form`` with a window that leaves a document ``request.max_document_tokens``, where its own leaves more: what is
    cut is counted as any truncation is. What the model puts before a document's text does not count.

    ``query_length`` is what else of ``form`` varies, in tokens.
    """
    if request.max_document_tokens is None:
        return form
    prefix = part.spec.input.document_wording.prefix
    own = len(part.tokenizer.encode(prefix)) if prefix else 0
    special = sum(1 for entry in form.parts if entry >= 0)
    window = special + query_length + own + request.max_document_tokens
    return Template(form.parts, form.segments, form.pad, form.position_offset, min(form.max_length, window))
