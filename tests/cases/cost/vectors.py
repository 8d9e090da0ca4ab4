#!/usr/bin/env python3
"""Writes vectors.txt: prices and usages with what they cost, worked out with exact fractions.

Each line is  price fields | usage buckets | total input output cache_read cache_write unpriced
in nano-dollars. The rules are those of common/gateway/cost.h, said once more in another language.
"""
import random
from fractions import Fraction

ITEMS = {
    'input': 'input_cost_per_token', 'output': 'output_cost_per_token',
    'cache_read': 'cache_read_input_token_cost', 'cache_write': 'cache_creation_input_token_cost',
    'cache_write_1h': 'cache_creation_input_token_cost_above_1hr',
    'reasoning': 'output_cost_per_reasoning_token', 'audio_in': 'input_cost_per_audio_token',
    'audio_out': 'output_cost_per_audio_token', 'image_in': 'input_cost_per_image_token',
    'image_out': 'output_cost_per_image_token',
}
TIERS = {1: 'priority', 2: 'flex', 3: 'batches'}
TIERED = {(b, t): f'{ITEMS[b]}_{t}' for t in ('priority', 'flex', 'batches') for b in
          ('input', 'output', 'cache_read') if not (b == 'cache_read' and t == 'batches')}
BANDED = ('input', 'output', 'cache_read', 'cache_write')
INPUTS = ('input', 'cache_read', 'cache_write', 'cache_write_1h', 'audio_in', 'image_in')
OUTPUTS = ('output', 'reasoning', 'audio_out', 'image_out')
TOP = 2**63 - 1


def rate(price, usage, bucket):
    """Dollars per token of a bucket, or None."""
    prompt = sum(usage[b] for b in INPUTS)
    tier = usage['tier']
    half = Fraction(1, 2) if tier == 3 else 1
    text = 'input' if bucket in INPUTS else 'output'

    band = None
    for above in (128, 200, 512):
        if prompt > above * 1000 and any(f'{ITEMS[b]}_above_{above}k_tokens' in price for b in BANDED):
            band = above
    if band and bucket in BANDED:
        v = price.get(f'{ITEMS[bucket]}_above_{band}k_tokens')
        if v is not None:
            return v * half
    v = price.get(TIERED.get((bucket, TIERS.get(tier))))
    if v is not None:
        return v
    own = price.get(ITEMS[bucket])
    if bucket == text or bucket in ('cache_read', 'cache_write'):
        if own is not None:
            return own * half
        return None if bucket == text else rate(price, usage, text)
    plain = 'cache_write' if bucket == 'cache_write_1h' else text
    if own is None or own == price.get(ITEMS[plain]):
        return rate(price, usage, plain)
    return own * half


def nano(dollars):
    v = dollars * 10**9
    return min(TOP, (2 * v + 1).__floor__() // 2)


def cost(price, usage):
    parts = dict.fromkeys(('input', 'output', 'cache_read', 'cache_write', 'other'), Fraction(0))
    unpriced = 0
    for b in INPUTS + OUTPUTS:
        if not usage[b]:
            continue
        r = rate(price, usage, b)
        if r is None:
            unpriced = 1
            continue
        part = 'cache_write' if b.startswith('cache_write') else b if b == 'cache_read' else \
            'input' if b in INPUTS else 'output'
        parts[part] += r * usage[b]
    parts['other'] += price.get('input_cost_per_request', 0)
    if usage['web_searches']:
        r = price.get('web_search_cost_per_request')
        unpriced |= r is None
        parts['other'] += (r or 0) * usage['web_searches']
    return [nano(sum(parts.values()))] + [nano(parts[p]) for p in
                                          ('input', 'output', 'cache_read', 'cache_write')] + [unpriced]


def some_price(rng):
    price = {}

    def maybe(field, chance):
        if rng.random() < chance:
            pico = rng.choice([0, 1, 3, rng.randrange(1000), rng.randrange(10**8), rng.randrange(10**12)])
            price[field] = Fraction(pico, 10**12)

    for b, f in ITEMS.items():
        maybe(f, 0.9 if b in ('input', 'output') else 0.5)
    if rng.random() < 0.2 and ITEMS['output'] in price:
        price[ITEMS['reasoning']] = price[ITEMS['output']]
    for f in TIERED.values():
        maybe(f, 0.3)
    for above in (128, 200, 512):
        for b in BANDED:
            maybe(f'{ITEMS[b]}_above_{above}k_tokens', 0.2)
    maybe('input_cost_per_request', 0.2)
    maybe('web_search_cost_per_request', 0.5)
    return price


def some_usage(rng):
    def tokens():
        return rng.choice([0, 0, 1, rng.randrange(100), rng.randrange(150000), rng.randrange(10**6)])

    usage = {b: tokens() for b in INPUTS + OUTPUTS}
    if rng.random() < 0.02:
        usage[rng.choice(INPUTS + OUTPUTS)] = 2**64 - 1 - 10**7
    usage['web_searches'] = rng.choice([0, 0, 3])
    usage['tier'] = rng.choice([0, 0, 1, 2, 3])
    return usage


def price_text(price):
    return ' '.join(f'{k}={int(v * 10**12)}e-12' for k, v in price.items())


def line(price, usage):
    return ' | '.join((price_text(price),
                       ' '.join(f'{k}={v}' for k, v in usage.items() if v),
                       ' '.join(map(str, cost(price, usage)))))


def main():
    rng = random.Random(1)
    print('# Written by vectors.py')
    for _ in range(300):
        print(line(some_price(rng), some_usage(rng)))


if __name__ == '__main__':
    main()
