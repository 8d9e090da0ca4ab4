#pragma once

/* While usage cannot be written down (threats M-04), whoever has a budget is refused: what he
 * spends would be known only as long as this pod lives. Whoever has none goes on. */

#include "policy/ask.h"

/* True, or false with the ask's refusal set. */
bool ledger_keeps(struct ask *k);
