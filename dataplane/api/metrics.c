#include "api/metrics.h"
struct str metrics_text(const struct shared *a, const struct snapshot *b, struct arena *c){(void)a;(void)b;(void)c;return STR("x 1\n");}
