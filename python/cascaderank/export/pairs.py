"""The texts of the parity gate: what goes wrong in tokenisers and templates, in one list."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

LISTS, LIST_LENGTH = 4, 20

Pair = tuple[str, str]

QUERIES = (
    "how do I sort a dictionary by value",
    "cap",
    "What is the boiling point of water at 2,000 m?",
    "東京の天気",
    "wo finde ich die Straßenbahnhaltestelle Größenweg",
    "смысл жизни",
    "naïve café résumé",
    "😀 emoji meaning 👩‍👩‍👧‍👦",
    "C++20 std::span<const float> vs T*",
    "is [SEP] a special token? </s> <s> [CLS] [MASK]",
)

DOCUMENTS = (
    "Use sorted(d.items(), key=lambda item: item[1]) to order the items of a dictionary by their values.",
    "",
    "a",
    "the the the the the the the the the the the the",
    "Water boils at about 93 °C at an altitude of 2,000 metres, because the pressure of the air is lower there.",
    "東京は日本の首都であり、世界最大級の都市圏を形成している。今日の天気は晴れのち曇り。",
    "서울의 날씨는 맑고 기온은 섭씨 이십 도입니다",
    "Die Haltestelle liegt gegenüber dem Rathaus; Fußgänger überqueren die Straße an der Ampel.",
    "Смысл жизни в философии: что такое счастье и зачем человек живёт.",
    "مرحبا بالعالم، هذا نص باللغة العربية",
    "😀😃😄 👍🏽 🇩🇪 a family: 👩‍👩‍👧‍👦",
    "a document that says [SEP] and [CLS] and [PAD] and [MASK] as text",
    "another with </s> and <s> and <pad> and <mask> and <unk> as text",
    "<|endoftext|> and <|im_start|>system and [UNK] too",
    "template<class T> std::span<T> view(T* first, std::size_t n) { return {first, n}; }  // see §3.1",
    "https://example.org/a/very/long/path?with=query&and=more#fragment user@example.org",
    "tabs\tand\nnew lines\r\nand  double   spaces and a no-break\u00a0space",
    "e\u0301 composed late, \u00e9 composed early, ﬁ ligature, ½, ™, ﷺ",
    "zero\u200bwidth\u200djoiners\ufeffand marks",
    "supercalifragilisticexpialidocious" * 8,
    "...!!!???;;;---===***",
    "   ",
    "3.14159 2.71828 1,000,000 0x7fff -40 °F 10⁻⁹",
    "def f(x): return x * 2",
)

SENTENCE = "The quick brown fox jumps over the lazy dog near the river bank while it rains in Köln. "


def parity_pairs(count_tokens: Callable[[str], int], query_limit: int, max_length: int) -> tuple[Pair, ...]:
    """At least 64 varied (query, document) pairs, those of one query next to each other.

    ``count_tokens`` counts a text's own tokens without special ones. A query is cut by characters until it has at most
    ``query_limit`` tokens, because a query that does not fit is an error; documents go up to about six times
    ``max_length`` tokens, because theirs is a case the gate has to see.
    """
    queries = [_shortened(query, count_tokens, query_limit) for query in QUERIES]
    pairs = [(queries[(place + step) % len(queries)], text) for step in (0, 3) for place, text in enumerate(DOCUMENTS)]
    pairs += [(query, query) for query in queries]
    per_sentence = max(count_tokens(SENTENCE), 1)
    for tokens in (max_length // 4, max_length // 2, max_length - 8, max_length, max_length + 1, 6 * max_length):
        text = SENTENCE * (tokens // per_sentence + 1)
        pairs += [(queries[tokens % len(queries)], text), (queries[0], "東京 " * max(tokens // 2, 1))]
    return tuple(sorted(pairs, key=lambda pair: pair[0]))


def random_lists(count_tokens: Callable[[str], int], query_limit: int, seed: int = 0) -> tuple[Pair, ...]:
    """``LISTS`` queries with ``LIST_LENGTH`` documents each, one after the other: what an order is compared on.

    A document is one to three of ``DOCUMENTS`` in a random order, none twice in a list. The same for every model.
    """
    draw = random.Random(seed)
    pool = [text for text in DOCUMENTS if text.strip()]
    pairs: list[Pair] = []
    for query in draw.sample(QUERIES, LISTS):
        documents: dict[str, None] = {}
        while len(documents) < LIST_LENGTH:
            documents[" ".join(draw.sample(pool, draw.randint(1, 3)))] = None
        pairs += [(_shortened(query, count_tokens, query_limit), text) for text in documents]
    return tuple(pairs)


def golden_pairs(
    count_tokens: Callable[[str], int], query_limit: int, max_length: int
) -> tuple[tuple[str, str, int], ...]:
    """Fourteen (query, text, repeat) of the same kinds, few enough for a manifest; the last documents do not fit the
    window, so that what truncation keeps is seen too."""
    queries = [_shortened(query, count_tokens, query_limit) for query in QUERIES]
    chosen = (*DOCUMENTS[:2], *DOCUMENTS[4:6], *DOCUMENTS[8:13], *DOCUMENTS[17:19], queries[4])
    pairs = [(queries[place % len(queries)], text, 1) for place, text in enumerate(chosen)]
    past = max_length // max(count_tokens(SENTENCE), 1) + 2
    return (*pairs, (queries[0], SENTENCE, past), (queries[2], SENTENCE, past))


def _shortened(text: str, count_tokens: Callable[[str], int], limit: int) -> str:
    while count_tokens(text) > limit and len(text) > 1:
        text = text[: max(len(text) * 3 // 4, 1)]
    return text


def texts_of(pairs: Sequence[Pair]) -> tuple[list[str], list[str]]:
    """The queries and the documents, in the order of the pairs."""
    return [query for query, _ in pairs], [document for _, document in pairs]
