#pragma once
#include "common/arena.h"
#include "shared/region.h"
#include "snapshot/view.h"
struct str metrics_text(const struct shared *, const struct snapshot *, struct arena *);
