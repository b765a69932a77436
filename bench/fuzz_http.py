"""Hostile HTTP against the server: in-process for numbers, over real sockets for what only a socket can do.

    python bench/fuzz_http.py --inputs 200000 --sockets 4000 --seed 1

In-process inputs go through the whole ASGI application (routes, keys, bodies, decoding, ranking by a model of two
words' arithmetic): valid requests with parts exchanged for wrong types, huge numbers, deep nesting, bad UTF-8, lone
surrogates, control characters, and bodies cut, doubled, spliced and flipped. Every answer has to be a status that the
API documents with a JSON body; 500 is a failure. Over sockets: malformed heads, pipelining, wrong lengths, chunk games,
slow bodies and hang-ups, after each of which the server has to answer a well-formed request as before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from fuzz_sockets import fuzz_sockets
from onnx import TensorProto, helper

from cascaderank.serve import Service, Settings, create_app

ALLOWED = {200, 400, 401, 404, 405, 408, 413, 415, 422, 429}
PATHS = (
    "/v2/rerank",
    "/v1/rerank",
    "/rerank",
    "/cohere/v1/rerank",
    "/jina/v1/rerank",
    "/voyage/v1/rerank",
    "/tei/rerank",
)
GOOD = b'{"query": "red", "documents": ["red cat", "dog"]}'
WORDS = (
    "red",
    "cat",
    "dog",
    "[SEP]",
    "",
    " ",
    "\x00",
    "\u200b",
    "\ufeff",
    "é",
    "日本語",
    "🎉" * 5,
    "a" * 5000,
    "\\",
    '"',
)
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**400, -(10**40), 0.0, -0.0, 1e308, 1.5, "", "x", "1", [], {},
    [[]], [{}], [None], {"text": None}, {"text": 1}, {"text": ["a"]}, {"text": "a", "id": 1},
    {"text": "a", "score": "b"},
    {"text": "a", "id": "1", "score": 1e39}, ["a"] * 50, "\ud800", {"": ""}, [1], ["a", 1], ["a", {"text": "b"}],
)  # fmt: skip
RAW = (
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-", b"01", b"1.", b".5", b'"\\u12"', b'"\\ud800"', b'"\xff"',
    b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\xf4\x90\x80\x80"', b"[" * 3000, b'{"a":' * 3000, b"[" * 100000, b"tru",
    b"'a'",
    b"\xef\xbb\xbf{}", b"", b"\x00", b"9" * 6000, b'"' + b"a" * 300000 + b'"', b"[1,]", b"{,}", b"/**/1",
)  # fmt: skip
KEYS = ("query", "documents", "texts", "top_n", "top_k", "return_documents", "return_text", "raw_scores", "truncate",
        "truncation", "truncation_direction", "model", "ids", "scores", "deadline_ms", "instruction", "explain",
        "rank_fields", "max_tokens_per_doc", "max_chunks_per_doc", "priority", "unknown", "")  # fmt: skip


def make_model(folder: Path, max_length: int = 32) -> Path:
    """A cross-encoder whose logit is the mean of its token ids, with a vocabulary of a few words."""
    import hashlib

    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    folder.mkdir(parents=True)
    vocabulary = {
        token: number for number, token in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "cat", "dog"))
    }
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=50))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    shape = ["batch", "length"]
    nodes = [
        helper.make_node("Mul", ["input_ids", "attention_mask"], ["seen"]),
        helper.make_node("Cast", ["seen"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["values"], ["logits"], axes=[1], keepdims=1),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in ("input_ids", "attention_mask")]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])
    graph = helper.make_graph(nodes, "mean", inputs, [output])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx"
    )
    files = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("model.onnx", "tokenizer.json")
    }
    hashes = "\n".join(f'"{name}" = "{digest}"' for name, digest in files.items())
    (folder / "model.toml").write_text(
        'format = 1\nkind = "cross_encoder"\nname = "mean"\n'
        f"max_length = {max_length}\nvocab_size = 7\n"
        f"[files]\n{hashes}\n"
        '[input]\npad_token = "[PAD]"\npair = ["[CLS]", "$query", "[SEP]", "$document", "[SEP]"]\n'
        '[input.names]\ninput_ids = "input_ids"\nattention_mask = "attention_mask"\n'
        '[output]\nname = "logits"\ncolumns = 1\nscore = "none"\n'
        '[precision]\nweights = "fp32"\nlayout = "padded"\nbatch_invariant = true\n', encoding="utf-8",
    )  # fmt: skip
    file = folder.parent / "cascade.toml"
    file.write_text(f'[[stage]]\nmodel = "{folder}"\nkeep = 5\n', encoding="utf-8")
    return file


def hostile_value(random_: random.Random, depth: int = 0) -> Any:
    kind = random_.random()
    if depth < 3 and kind < 0.15:
        return [hostile_value(random_, depth + 1) for _ in range(random_.randrange(4))]
    if depth < 3 and kind < 0.3:
        return {random_.choice(KEYS): hostile_value(random_, depth + 1) for _ in range(random_.randrange(4))}
    if kind < 0.5:
        return "".join(random_.choice(WORDS) for _ in range(random_.randrange(4)))
    return random_.choice(HOSTILE)


def hostile_body(random_: random.Random) -> bytes:
    """A valid request, some of its values exchanged, then sometimes its bytes."""
    documents = [random_.choice(WORDS) + " red" for _ in range(random_.randrange(1, 5))]
    body: dict[str, Any] = {"query": "red cat", random_.choice(("documents", "documents", "texts")): documents}
    for _ in range(random_.randrange(4)):
        body[random_.choice(KEYS)] = hostile_value(random_)
    raw = json.dumps(body).encode("utf-8", "surrogatepass")
    for _ in range(random_.choice((0, 0, 0, 1, 1, 2, 4))):
        raw = MUTATIONS[random_.randrange(len(MUTATIONS))](raw, random_)
    return raw


def _at(raw: bytes, random_: random.Random) -> int:
    return random_.randrange(len(raw) + 1)


def _splice(raw: bytes, random_: random.Random) -> bytes:
    start, stop = sorted((_at(raw, random_), _at(raw, random_)))
    return raw[:start] + random_.choice(RAW) + raw[stop:]


def _value(raw: bytes, random_: random.Random) -> bytes:
    key = json.dumps(random_.choice(KEYS)).encode()
    return raw[:1] + key + b":" + random_.choice(RAW) + b"," + raw[1:]


def _flip(raw: bytes, random_: random.Random) -> bytes:
    if not raw:
        return raw
    place = random_.randrange(len(raw))
    return raw[:place] + bytes([raw[place] ^ (1 << random_.randrange(8))]) + raw[place + 1 :]


def _cut(raw: bytes, random_: random.Random) -> bytes:
    return raw[: _at(raw, random_)]


def _noise(raw: bytes, random_: random.Random) -> bytes:
    place = _at(raw, random_)
    return raw[:place] + random_.randbytes(random_.randrange(1, 20)) + raw[place:]


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (_splice, _value, _flip, _cut, _noise)


HEADERS = (b"x-deadline-ms", b"traceparent", b"x-request-id", b"content-length", b"content-encoding", b"authorization",
           b"x-api-key", b"content-type")  # fmt: skip
VALUES = (b"", b"nan", b"inf", b"-1", b"0", b"1e-9", b"5000", b"1e300", b"gzip", b"\xff\xfe", b"9" * 50, b"a" * 9000,
          b"00-" + b"0" * 32 + b"-1-1", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01", b"Bearer x")  # fmt: skip


def hostile_headers(random_: random.Random) -> list[tuple[bytes, bytes]]:
    headers = [(b"content-type", b"application/json")]
    if random_.random() < 0.3:
        headers.append((random_.choice(HEADERS), random_.choice(VALUES)))
    return headers


async def ask(app: Any, path: str, body: bytes, headers: list[tuple[bytes, bytes]], pieces: int) -> tuple[int, bytes]:
    """One request through the application, its body in so many pieces; status and body of the answer."""
    size = max(1, -(-len(body) // pieces))
    chunks = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    messages = [
        {"type": "http.request", "body": chunk, "more_body": number + 1 < len(chunks)}
        for number, chunk in enumerate(chunks)
    ]
    waiting = asyncio.Event()
    status, answer = 0, b""

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        await waiting.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, answer
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            answer += message.get("body", b"")

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers,
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    await app(scope, receive, send)
    waiting.set()
    return status, answer


async def fuzz_application(inputs: int, seed: int, file: Path) -> Counter[int]:
    """Counts of statuses; raises for the first answer that is not allowed, with what repeats it."""
    service = Service(Settings(cascades={"default": file}, watch_s=0, max_body_bytes=1 << 20, body_timeout_s=5))
    app = create_app(service)
    await service.start()
    seen: Counter[int] = Counter()
    begun = time.monotonic()
    for number in range(inputs):
        random_ = random.Random(f"{seed}:{number}")
        path, body, headers = random_.choice(PATHS), hostile_body(random_), hostile_headers(random_)
        status, answer = await ask(app, path, body, headers, random_.choice((1, 1, 1, 2, 7)))
        if status not in ALLOWED:
            raise SystemExit(f"seed {seed}, input {number}: {path} {body[:300]!r} {headers}: {status} {answer[:300]!r}")
        json.loads(answer)
        seen[status] += 1
        if number % 20000 == 19999:
            print(f"{number + 1} inputs, {time.monotonic() - begun:.0f} s, {dict(sorted(seen.items()))}", flush=True)
            assert (await ask(app, "/v2/rerank", GOOD, [], 1))[0] == 200
    await service.stop()
    return seen


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=200_000, help="in-process")
    parser.add_argument("--sockets", type=int, default=4000, help="over real sockets")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = make_model(Path(folder) / "mean")
        seen = asyncio.run(fuzz_application(options.inputs, options.seed, file))
        print(f"in-process: {sum(seen.values())} inputs, statuses {dict(sorted(seen.items()))}, no crash, no 5xx")
        if options.sockets:
            print(fuzz_sockets(file, options.sockets, options.seed))


if __name__ == "__main__":
    main()
