#pragma once

/* Names matched by patterns: '*' is any run of bytes, every other byte is itself. */

#include "common/str.h"

bool glob_match(struct str pattern, struct str name);

/*
 * True when `name` matches one of the '|'-separated `patterns`. A leading '!' turns the answer
 * round: "!a*|b" is true for what matches neither. Empty patterns match everything.
 */
bool globs_match(struct str patterns, struct str name);
