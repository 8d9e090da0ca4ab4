"""The result: the table on the terminal, the JSON file, docs/benchmarks.md."""

import json

from .rows import ROWS

# key, figure, must, aim, unit; a must is an upper bound unless it begins with ">"
FIGURES = [
    ("cpu_per_request_vs_nginx", "CPU per request, small JSON chat relay, c=32, saturated", "1.6", "1.0", "× nginx"),
    ("cpu_per_request_fixed_vs_nginx", "the same at one fixed rate", "1.6", "1.0", "× nginx"),
    ("cpu_per_request_tls_vs_nginx", "over TLS 1.3 to the upstream, kept alive, saturated", "1.4", "1.0", "× nginx"),
    ("cpu_per_request_tls_fixed_vs_nginx", "the same at one fixed rate", "1.4", "1.0", "× nginx"),
    ("rps_vs_nginx", "requests/s on the one core", ">0.95", ">1.15", "× nginx"),
    ("cpu_100k_vs_best", "CPU per 100 KB body", "1.0", "0.7", "× best of three"),
    ("cpu_8m_vs_best", "CPU per 8 MiB body", "1.0", "0.7", "× best of three"),
    ("stream_ttfe_added_p99_us", "streaming: time to first event, p99, added", "150", "100", "µs"),
    ("stream_event_added_p99_us", "streaming: delay per event, p99, added", "40", "20", "µs"),
    ("mem_idle_mb", "memory (PSS, all processes): idle", "10", "6", "MB"),
    ("mem_1000_streams_mb", "memory: 1,000 open streams", "28", "20", "MB"),
    ("mem_after_ratio", "memory: a minute after", "1.2", "1.1", "× idle"),
    ("kb_per_tls_stream", "memory per stream with a TLS upstream", None, None, "KB"),
    ("cold_start_ms", "cold start to first answer", "100", "50", "ms"),
    ("overhead_p50_ms_c10", "LiteLLM's definition: p50 difference, c=10", "0.05", None, "ms"),
    ("rps_c50", "LiteLLM's definition: requests/s, c=50", ">6782", None, "/s"),
    ("rss_c50_mb", "LiteLLM's definition: peak RSS, c=50", "32", None, "MB"),
    ("malloc_per_request", "malloc calls per relayed request", "0", None, ""),
    ("malloc_per_stream", "malloc calls per relayed stream", "0", None, ""),
    ("malloc_per_translated", "malloc calls per translated request", "0", None, ""),
    ("malloc_per_translated_stream", "malloc calls per translated stream", "0", None, ""),
    ("cpu_chat_on_messages_vs_nginx", "translated: chat client on Messages, CPU per request", "1.7", "1.2", "× nginx"),
    ("event_chat_on_messages_vs_relay", "the same, CPU of a stream of 100 events", "2.0", "1.3", "× relayed"),
    ("cpu_messages_on_chat_vs_nginx", "translated: Messages client on chat, CPU per request", "1.7", "1.2", "× nginx"),
    ("event_messages_on_chat_vs_relay", "the same, CPU of a stream of 100 events", "2.0", "1.3", "× relayed"),
    ("keys_build_s", "a million keys: from the entities to a worker's view", "10", "5", "s"),
    ("keys_load_s", "the same from disk", "2", "0.5", "s"),
    ("keys_bytes", "the same, bytes a key with its team and user, indexes included", "200", "120", "bytes"),
    ("keys_change_ms", "the same, one change applied and adopted, p99", "20", "5", "ms"),
    ("keys_lookup_ns", "the same, key, rules and team of a random key, p50", "1000", "400", "ns"),
    ("keys_lookup_hot_ns", "the same, of few keys, p50", None, None, "ns"),
    ("million_postgres_s", "a data plane's start until it takes the last of a million keys, from PostgreSQL", "10", "5", "s"),
    ("million_disk_s", "the same from disk, its control plane gone", "2", "0.5", "s"),
    ("million_mb", "the same, memory of the data plane a minute after", None, None, "MB"),
    ("bounds_request_ms", "the worst request translated: loop stall", "10", "2", "ms"),
    ("bounds_request_memory", "the request that takes most memory", "12", None, "× body"),
    ("bounds_text_memory", "memory of a body that is mostly one string", "4", None, "× body"),
    ("bounds_reply_ms", "the worst reply translated: loop stall", "10", "2", "ms"),
    ("bounds_reply_memory", "the reply that takes most memory", None, None, "× reply"),
    ("nodes_cpu_percent", "control plane: 100 data planes, a change a second", "20", "5", "% of a core"),
    ("nodes_rss_mb", "the same, peak memory", "100", None, "MB"),
    ("admin_accepted_p99_ms", "a key made through the API until six workers of three data planes accept it, p99", "50", "10", "ms"),
    ("crud_p99_ms", "500 management requests/s while ten reports of a million rows are asked for, ten allowed at once, p99", "50", "20", "ms"),
    ("crud_queued_p99_ms", "the same with as many allowed at once as by default", "50", "20", "ms"),
    ("daily_p95_ms", "ten million requests: any report of a month's daily activity, p95", "300", "100", "ms"),
    ("daily_rss_mb", "the same, peak memory of the control plane", "150", "60", "MB"),
    ("policy_fixed_percent", "virtual key, team, user, limits and budgets: CPU per request over the master key's", "8", "3", "%"),
    ("policy_saturated_percent", "the same as fast as answers come", None, None, "%"),
    ("outage_saturated_percent", "control plane saturated: the data plane's p99 over that undisturbed", "5", None, "%"),
    ("outage_frozen_percent", "control plane frozen: the same", "5", None, "%"),
    ("outage_killed_percent", "control plane killed: the same", "5", None, "%"),
    ("outage_liveness_ms", "liveness of the data plane meanwhile, the worst", "60", None, "ms"),
    ("drain_s", "usage of a ten-minute outage at 2,000 requests/s, 1.2 M records: until all is counted", "60", "30", "s"),
    ("drain_crud_p99_ms", "50 management requests/s meanwhile, p99", "100", None, "ms"),
    ("drain_rss_mb", "control plane meanwhile, peak memory", "150", "60", "MB"),
    ("visible_p99_ms", "a request's end until it stands in its key's spend, p99", "2000", "300", "ms"),
    ("ingest_per_s", "usage to spend with PostgreSQL on the same two cores, a backlog of several pods", ">20000", ">50000", "records/s"),
    ("ingest_one_per_s", "the same of one pod, a batch at a time", None, None, "records/s"),
    ("ingest_rss_mb", "the same, peak memory of what ingests", "150", "60", "MB"),
    ("spend_page_p95_ms", "a page of log rows out of ten million, p95 of the slowest filter and order, first page and 1999th", "200", "50", "ms"),
    ("spend_report_p95_ms", "a report over ten million rows, p95 of the slowest of 19", "300", "100", "ms"),
    ("transcript_added_ms", "a coding agent's 30 turns with tools, replayed: added in all", "30", "5", "ms"),
]


def bound(text):
    if text is None:
        return "reported"
    return ("≥ " + text[1:]) if text.startswith(">") else ("≤ " + text)


def meets(got, text):
    if text is None:
        return True
    return got >= float(text[1:]) if text.startswith(">") else got <= float(text)


def number(v):
    if v is None:
        return "–"
    if v == 0:
        return "0"
    for least, digits in ((1000, 0), (20, 1), (0.1, 2)):
        if abs(v) >= least:
            return f"{v:,.{digits}f}"
    return f"{v:.4f}"


def verdict(got, must, aim):
    if must is None:
        return ""
    return "missed" if not meets(got, must) else "aim" if aim and meets(got, aim) else "must"


def figure_rows(result):
    for key, label, must, aim, unit in FIGURES:
        got = result["ratios"].get(key)
        if got is None:
            continue
        spread = result["ranges"].get(key)
        text = f"{number(got)} {unit}".strip()
        if spread:
            text += f" ({number(spread[0])} to {number(spread[1])})"
        yield label, bound(must), bound(aim) if aim else "", text, verdict(got, must, aim)


def aligned(rows):
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip() for r in rows)


def peer_rows(row, by_gateway):
    """One row's medians: a line per gateway."""
    columns = []
    for values in by_gateway.values():
        columns += [c for c in values if c not in columns]
    yield [row] + columns
    for name, values in by_gateway.items():
        yield [name] + [number(values.get(c)) for c in columns]


def text(result):
    parts = []
    figures = list(figure_rows(result))
    for row, by_gateway in result["table"].items():
        parts.append(aligned(list(peer_rows(row, by_gateway))))
    if figures:
        parts.append(aligned([("figure", "must", "aim", "got", "")] + figures))
    if result["notes"]:
        parts.append("\n".join("note: " + n for n in result["notes"]))
    return "\n\n".join(parts)


def _markdown(rows):
    rows = [list(r) for r in rows]
    lines = ["| " + " | ".join(r) + " |" for r in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0])] + lines[1:])


def joined(results):
    """One result of several: each row of the last that has it. Also, for each result, the rows that are of it."""
    one = {"ratios": {}, "ranges": {}, "table": {}, "notes": []}
    for result in results:
        for part in ("ratios", "ranges", "table"):
            one[part] |= result[part]
    rows_of = [[row for row in r["table"] if not any(row in later["table"] for later in results[i + 1:])]
               for i, r in enumerate(results)]
    for result, of_it in zip(results, rows_of):
        named = [n for n in result["notes"] if n.partition(":")[0] in result["table"]]
        one["notes"] += [n for n in result["notes"] if n not in named or n.partition(":")[0] in of_it]
    one["table"] = {row: one["table"][row] for row in ROWS if row in one["table"]}
    return one, rows_of


def run_line(result, of_it, is_only):
    versions = ", ".join(f"{k} {x}" for k, x in result["versions"].items() if x)
    rows = "" if is_only else f"; of it: {', '.join(of_it)}"
    return f"**Command**: `{result['command']}`, {result['date']}, {versions}{rows}"


def document(results):
    """docs/benchmarks.md: nothing in it but what the runs measured."""
    m = results[-1]["machine"]
    result, rows_of = joined(results)
    runs = [run_line(r, of_it, len(results) == 1) for r, of_it in zip(results, rows_of) if of_it]
    parts = [
        "# Benchmarks",
        "Generated by `bench/run --doc` from what runs measured; `bench/README.md` says how each figure is measured. "
        "Ratios count, absolute figures belong to the machine.",
        "  \n".join(runs) + "  \n"
        f"**Machine**: {m['cpu']}, {m['cores']} cores{' (virtual)' if m['is_virtual'] else ''}, {m['memory_mb']:,} MB, "
        f"{m['system']}, Linux {m['kernel']}; gateway on core {m['pinning']['gateway']}, load on "
        f"{m['pinning']['load']}, mock upstream on {m['pinning']['mock']}",
        _markdown([("figure", "must", "aim", "got", "")] + list(figure_rows(result))),
        "The range after a ratio is that of its rounds.",
        "## Medians of each row",
    ]
    for row, by_gateway in result["table"].items():
        parts.append(_markdown(peer_rows(row, by_gateway)))
    if result["notes"]:
        parts.append("## Notes\n\n" + "\n".join("- " + n for n in result["notes"]))
    return "\n\n".join(parts) + "\n"


def save(result, path):
    with open(path, "w") as f:
        json.dump(result, f)
        f.write("\n")
