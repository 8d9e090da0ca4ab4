#pragma once

/* Slot numbers of shared counters: private to building (snapshot/build.h tells what they are). */

#include "common/str.h"

enum slot_kind { SLOT_DEPLOYMENT, SLOT_ORIGIN, SLOT_KINDS };

struct slots;

/* The slot of `key` in generation `n`; the last one, shared by all without their own, when full. */
uint32_t slots_get(struct slots *s, enum slot_kind kind, struct str key, uint64_t n);

/* Puts `key` where an earlier process had it. */
void slots_set(struct slots *s, enum slot_kind kind, struct str key, uint32_t slot, uint64_t n);
