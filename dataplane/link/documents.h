#pragma once

/* Models, credentials and settings of the control plane, as they go from the session's thread to
 * the one that builds generations: a copy that does not change. */

#include "common/gateway/config_file.h"

#include "snapshot/directory.h"

struct documents {
    uint64_t version; /* directory_documents() */
    const struct config_row *rows;
    size_t n;
    struct arena arena; /* private */
};

/* What is in force in `d`. NULL: no memory. */
struct documents *documents_new(const struct directory *d);
struct documents *documents_free(struct documents *d);
DEFINE_AUTO_FREE(documents)
