#!/usr/bin/env python3
"""Writes vectors.txt: what providers say of usage, each in its own spelling, with what it costs.

Tokens are drawn in disjoint buckets, priced with exact fractions (../cost/vectors.py), and only then
spelled as a provider does: so nothing here takes a usage object apart. A line, between tabs:

    dialect, price fields, what was drawn, total input output cache_read cache_write unpriced
    in nano-dollars, one or more documents: a reply, or the events of a stream
"""
import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'cost'))
from vectors import INPUTS, OUTPUTS, cost, price_text, some_price  # noqa: E402

OPENAI_TIERS = {0: ('default', 'auto', None), 1: ('priority',), 2: ('flex',)}
ANTHROPIC_TIERS = {0: ('standard', None), 1: ('priority',), 3: ('batch',)}


def some(rng, buckets, tiers=(0,), searches=False):
    usage = dict.fromkeys(INPUTS + OUTPUTS, 0)
    for b in buckets:
        usage[b] = rng.choice([0, 1, rng.randrange(100), rng.randrange(5000), rng.randrange(150000)])
    usage['web_searches'] = rng.choice([0, 0, 2]) if searches else 0
    usage['tier'] = rng.choice(tiers)
    return usage


def members(rng, fixed, maybe):
    """An object with members in any order; of `maybe` those that are 0 may be absent or null."""
    out = dict(fixed)
    for k, v in maybe.items():
        if v or rng.random() < 0.3:
            out[k] = v if v or rng.random() < 0.5 else None
    order = list(out)
    rng.shuffle(order)
    return {k: out[k] for k in order}


def prompt(u):
    return sum(u[b] for b in INPUTS)


def completion(u):
    return sum(u[b] for b in OUTPUTS)


def details(rng, u, written='cache_write_tokens'):
    return (members(rng, {}, {'cached_tokens': u['cache_read'], written: u['cache_write'], 'audio_tokens': u['audio_in'],
                              'image_tokens': u['image_in'], 'text_tokens': u['input']}),
            members(rng, {}, {'reasoning_tokens': u['reasoning'], 'audio_tokens': u['audio_out'],
                              'image_tokens': u['image_out'], 'accepted_prediction_tokens': rng.randrange(3)}))  # fmt: skip


def openai(rng, u, written='cache_write_tokens'):
    into, out = details(rng, u, written)
    return members(rng, {'prompt_tokens': prompt(u), 'completion_tokens': completion(u),
                         'total_tokens': prompt(u) + completion(u)},
                   {'prompt_tokens_details': into, 'completion_tokens_details': out})  # fmt: skip


def with_tier(rng, document, tiers, u):
    name = rng.choice(tiers[u['tier']])
    return document if name is None and rng.random() < 0.5 else {**document, 'service_tier': name}


def chat(rng):
    u = some(rng, ('input', 'cache_read', 'cache_write', 'audio_in', 'image_in', *OUTPUTS), (0, 1, 2))
    return u, [with_tier(rng, {'id': 'chatcmpl-1', 'choices': [{}], 'usage': openai(rng, u)}, OPENAI_TIERS, u)]


def chat_stream(rng):
    """Usage on each chunk, growing; the last one is it."""
    u = some(rng, ('input', 'cache_read', *OUTPUTS), (0, 1, 2))
    early = {'prompt_tokens': prompt(u), 'completion_tokens': completion(u) // 2, 'total_tokens': prompt(u) + completion(u) // 2}
    return u, [{'choices': [{'delta': {'content': 'x'}}], 'usage': None}, {'choices': [{'delta': {}}], 'usage': early},
               with_tier(rng, {'choices': [], 'usage': openai(rng, u, 'cache_creation_tokens')}, OPENAI_TIERS, u)]  # fmt: skip


def responses(rng):
    u = some(rng, ('input', 'cache_read', 'cache_write', 'audio_in', 'image_in', *OUTPUTS), (0, 1, 2))
    into, out = details(rng, u)
    usage = members(rng, {'input_tokens': prompt(u), 'output_tokens': completion(u), 'total_tokens': prompt(u) + completion(u)},
                    {'input_tokens_details': into, 'output_tokens_details': out})  # fmt: skip
    whole = with_tier(rng, {'id': 'resp_1', 'status': 'completed', 'usage': usage}, OPENAI_TIERS, u)
    if rng.random() < 0.5:
        return u, [whole]
    return u, [{'type': 'response.created', 'response': {'usage': None, 'service_tier': 'auto'}},
               {'type': 'response.completed', 'response': whole}]  # fmt: skip


def deepseek(rng):
    u = some(rng, ('input', 'cache_read', 'output', 'reasoning'))
    twice = rng.random() < 0.5
    return u, [{'usage': members(rng, {
        'prompt_tokens': prompt(u), 'completion_tokens': completion(u), 'total_tokens': prompt(u) + completion(u),
        'prompt_cache_hit_tokens': u['cache_read'], 'prompt_cache_miss_tokens': u['input'],
        'completion_tokens_details': {'reasoning_tokens': u['reasoning']}},
        {'prompt_tokens_details': {'cached_tokens': u['cache_read']} if twice else 0})}]  # fmt: skip


def xai(rng):
    """Reasoning beside the completion, inside the total."""
    u = some(rng, ('input', 'cache_read', 'output', 'reasoning'))
    return u, [{'usage': {
        'prompt_tokens': prompt(u), 'completion_tokens': u['output'], 'total_tokens': prompt(u) + completion(u),
        'prompt_tokens_details': {'text_tokens': prompt(u), 'cached_tokens': u['cache_read'], 'audio_tokens': 0},
        'completion_tokens_details': {'reasoning_tokens': u['reasoning']}, 'num_sources_used': 0}}]  # fmt: skip


def moonshot(rng):
    u = some(rng, ('input', 'cache_read', 'output'))
    return u, [{'usage': {'prompt_tokens': prompt(u), 'completion_tokens': u['output'], 'total_tokens': prompt(u) + u['output'],
                          'cached_tokens': u['cache_read']}}]  # fmt: skip


def groq(rng):
    u = some(rng, ('input', 'cache_read', 'output', 'reasoning'))
    usage = {'queue_time': 0.01, 'prompt_time': 1e-3, **openai(rng, u), 'total_time': 0.5}
    return u, [{'choices': [], 'x_groq': {'id': 'req_1', 'usage': {'prompt_tokens': 7}}, 'usage': usage, 'service_tier': 'on_demand'}]


def mistral(rng):
    u = some(rng, ('input', 'output'))
    return u, [{'usage': {'prompt_audio_seconds': None, 'prompt_tokens': u['input'], 'completion_tokens': u['output'],
                          'total_tokens': prompt(u) + u['output'], 'prompt_tokens_details': {'cached_tokens': 0}}}]  # fmt: skip


def openrouter(rng):
    u = some(rng, ('input', 'cache_read', 'output', 'reasoning'))
    return u, [{'provider': 'X', 'usage': {**openai(rng, u), 'cost': 0.5, 'is_byok': False,
                                           'cost_details': {'upstream_inference_cost': None}}}]  # fmt: skip


def embeddings(rng):
    u = some(rng, ('input',))
    return u, [{'object': 'list', 'data': [{'embedding': [0.1, -2e-3]}], 'usage': {'prompt_tokens': u['input'], 'total_tokens': u['input']}}]


def anthropic_usage(rng, u):
    written = u['cache_write'] + u['cache_write_1h']
    split = members(rng, {}, {'ephemeral_5m_input_tokens': u['cache_write'], 'ephemeral_1h_input_tokens': u['cache_write_1h']})
    how = {'cache_creation_input_tokens': written, 'cache_creation': split}
    if u['cache_write_1h'] == 0 and rng.random() < 0.3:
        how['cache_creation'] = None
    elif rng.random() < 0.2:
        del how['cache_creation_input_tokens']
    return members(rng, {'input_tokens': u['input']}, {
        **how, 'cache_read_input_tokens': u['cache_read'],
        'server_tool_use': {'web_search_requests': u['web_searches'], 'web_fetch_requests': 3} if u['web_searches'] else 0,
        'service_tier': rng.choice(ANTHROPIC_TIERS[u['tier']]) or 0})  # fmt: skip


def output(rng, u):
    total = u['output'] + u['reasoning']
    return members(rng, {'output_tokens': total}, {'output_tokens_details': {'thinking_tokens': u['reasoning']} if u['reasoning'] else 0})


CLAUDE = ('input', 'cache_read', 'cache_write', 'cache_write_1h', 'output', 'reasoning')


def anthropic(rng):
    u = some(rng, CLAUDE, (0, 1, 3), True)
    return u, [{'type': 'message', 'usage': {**anthropic_usage(rng, u), **output(rng, u)}}]


def anthropic_stream(rng):
    """The input side first, with few tokens of output; what comes at the end is cumulative."""
    u = some(rng, CLAUDE, (0, 1, 3), True)
    return u, [{'type': 'message_start', 'message': {'usage': {**anthropic_usage(rng, u), 'output_tokens': 1}}}, {'type': 'ping'},
               {'type': 'message_delta', 'delta': {'stop_reason': 'end_turn'},
                'usage': {**rng.choice([{}, {'input_tokens': None, 'cache_read_input_tokens': None},
                                        {'input_tokens': u['input'], 'cache_read_input_tokens': u['cache_read']}]),
                          **output(rng, u)}}, {'type': 'message_stop'}]  # fmt: skip


SHAPES = {'openai': (chat, chat_stream, responses, deepseek, xai, moonshot, groq, mistral, openrouter, embeddings),
          'anthropic': (anthropic, anthropic_stream)}  # fmt: skip


def main():
    rng = random.Random(5)
    print('# Written by vectors.py')
    for dialect, shapes in SHAPES.items():
        for shape in shapes:
            for _ in range(25):
                price, (usage, documents) = some_price(rng), shape(rng)
                drawn = ' '.join(f'{k}={v}' for k, v in usage.items() if v)
                texts = [json.dumps(d, separators=rng.choice([(',', ':'), (', ', ': ')])) for d in documents]
                print('\t'.join([dialect, price_text(price), f'{shape.__name__} {drawn}', ' '.join(map(str, cost(price, usage))), *texts]))


main()
