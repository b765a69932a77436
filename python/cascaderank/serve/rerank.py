"""The hot path: a body in, a ranking, a body out."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from cascaderank.errors import OverloadedError
from cascaderank.job import clock
from cascaderank.results import Ranking
from cascaderank.serve.body import Disconnected, read_body
from cascaderank.serve.failures import Failure, failure_of
from cascaderank.serve.live import Generation
from cascaderank.serve.request import Answer, RankRequest
from cascaderank.serve.scores import deepest_logits, relevance
from cascaderank.serve.service import Service
from cascaderank.serve.shapes import Shape
from cascaderank.serve.tracing import Done, record_spans

_log = logging.getLogger("cascaderank.serve")
Endpoint = Callable[[Request], Awaitable[Response]]
GONE = 499  # nobody reads it; logs and metrics tell a client that left from one that was refused


def rerank(service: Service, shape: Shape) -> Endpoint:
    """The endpoint of one API."""

    async def endpoint(request: Request) -> Response:
        state = request.scope["state"]
        status, cascade, api = 500, "", shape.name
        unread = True
        live: Generation | None = None
        ranked: Ranking | None = None
        why = "ended before its answer"
        begun, begun_ns = clock(), time.time_ns()
        try:
            service.keys.check(request.headers)
            settings = service.settings
            with service.room.share() as take:
                body = await read_body(request, settings.max_body_bytes, settings.body_timeout_s, take)
                unread = False
                begun, begun_ns = clock(), time.time_ns()  # how long a client takes to send is not ours to answer for
                wanted = shape.read(body)
                del body  # or it would be held until the answer
            deployment = service.find(wanted.model)
            cascade, api = deployment.name, wanted.api
            deadline_ms = _deadline(wanted, request)
            with deployment.live.lend() as live:
                limit = min(settings.max_documents, live.cascade.config.max_candidates)
                if wanted.size > limit:
                    raise Failure(413, f"documents: {wanted.size} of them, at most {limit} are taken; send fewer")
                if deadline_ms is None:
                    own = live.cascade.config.deadline_ms
                    deadline_ms = settings.deadline_ms if own is None else own
                ranking = await _rank(request, live, wanted, deadline_ms, settings.timeout_s)
                _check_strict(wanted, ranking)
                answer = _answer(state["request_id"], wanted, ranking, live, cascade)
            content = shape.write(answer)
            service.metrics.answered(cascade, ranking, clock() - begun)
            status, ranked, why = 200, ranking, ""
            state["log"] = {"documents": wanted.size, "generation": live.number, "degraded": ranking.degraded}
            return Response(content, media_type="application/json", headers=_headers(answer))
        except Disconnected:
            status, why = GONE, "the client left"
            service.metrics.disconnected.labels(cascade).inc()
            return Response(status_code=GONE)
        except Exception as error:  # noqa: BLE001  every failure is answered
            failure = failure_of(error)
            if live is not None:
                failure.message = live.explained(failure.message)
            status, why = failure.status, failure.message[:500]
            state["log"] = {"reason": why}
            if isinstance(error, OverloadedError):
                service.metrics.rejected.labels(cascade).inc()
            if status >= 500 and status != 503:
                _log.exception("failed", extra={"request_id": state["request_id"]})
            content = shape.fail(failure, state["request_id"])
            # What is left of a body that was not read is not worth reading.
            headers = failure.headers | ({"connection": "close"} if unread else {})
            return Response(content, status, headers, "application/json")
        finally:
            service.metrics.requests.labels(cascade, api, str(status)).inc()
            done = Done(cascade, status, begun_ns, clock() - begun, ranked, why)
            record_spans(request.headers, state["trace"], done)

    return endpoint


def _deadline(wanted: RankRequest, request: Request) -> float | None:
    """The body's, else the header's; None where the request says none."""
    if wanted.deadline_ms is not None:
        return wanted.deadline_ms
    header = request.headers.get("x-deadline-ms")
    if header is None:
        return None
    try:
        value = float(header)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise Failure(400, f"X-Deadline-Ms is {header[:40]!r}, expected a positive number of milliseconds")
    return value


async def _rank(
    request: Request, live: Generation, wanted: RankRequest, deadline_ms: float | None, timeout_s: float
) -> Ranking:
    """Rank in the cascade's threads; a client that leaves, or ``timeout_s``, ends the work."""
    if deadline_ms is not None:
        deadline_ms = min(deadline_ms, timeout_s * 1e3)  # later than that nobody waits
    ranking = asyncio.ensure_future(
        live.cascade.arank(
            wanted.query,
            wanted.documents,
            ids=wanted.ids,
            scores=wanted.scores,
            store=live.store if live.store is not None and wanted.named else None,
            top_n=wanted.top_n,
            deadline_ms=deadline_ms,
            instruction=wanted.instruction,
            max_document_tokens=wanted.max_document_tokens,
        )
    )
    leaving = asyncio.ensure_future(_left(request))
    try:
        done, _ = await asyncio.wait({ranking, leaving}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if ranking in done:
            return ranking.result()
        if leaving in done:
            raise Disconnected
        raise Failure(504, f"no answer within {timeout_s:g} s; send fewer documents, or a deadline_ms", "Backend")
    finally:
        leaving.cancel()
        ranking.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _check_strict(wanted: RankRequest, ranking: Ranking) -> None:
    """An API's way of asking for an error rather than for a cut text."""
    if not wanted.strict:
        return
    limit = wanted.max_document_tokens
    asked = "" if limit is None else f" or the {limit} tokens that were asked for"
    for stage in ranking.trace.stages:
        if stage.truncated_documents:
            raise Failure(
                413 if wanted.api == "tei" else 400,
                f"{stage.truncated_documents} documents do not fit the window of stage {stage.name!r}{asked}; "
                "shorten them or allow truncation",
            )


def _answer(request_id: str, wanted: RankRequest, ranking: Ranking, live: Generation, cascade: str) -> Answer:
    values = deepest_logits(ranking) if wanted.raw_scores else relevance(ranking)
    return Answer(request_id, wanted, ranking, ranking.order.tolist(), values, cascade, live.score_kind, live.number)


def _headers(answer: Answer) -> dict[str, str]:
    """What bodies without room for it say beside them: Text Embeddings Inference's are these headers, too."""
    trace = answer.ranking.trace
    headers = {
        "x-compute-tokens": str(answer.tokens),
        "x-total-time": str(round(trace.total_ms)),
        "x-inference-time": str(round(trace.model_ms)),
        "server-timing": f"engine;dur={trace.total_ms:.3f}",
        "x-cascade-generation": str(answer.generation),
        "x-score": answer.score_kind,
    }
    if answer.ranking.degraded:
        headers["x-degraded"] = "true"
    if cut := sum(stage.truncated_documents for stage in trace.stages):
        headers["x-truncated-documents"] = str(cut)
    return headers
