#pragma once

/* Passwords of users, as LiteLLM keeps them: "scrypt:" and base64 of a salt of 16 bytes and a hash
 * of 32 (N 16384, r 8, p 1). */

#include "common/arena.h"

/* What a password lacks ("include a number", ...), with ", " between; empty: nothing. At least 12
 * characters, upper and lower case, a number, and something else. */
struct str password_faults(struct arena *a, struct str password);

/* Empty without memory. It takes some fifty milliseconds, and 16 MiB, on purpose. */
struct str password_hash(struct arena *a, struct str password);
