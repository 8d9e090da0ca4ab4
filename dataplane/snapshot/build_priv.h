#pragma once

/* A generation being built (snapshot/build.h). */

#include "common/arena.h"

#include "link/config.h"
#include "snapshot/flat.h"

struct name; /* build.c */

struct build {
    const struct config *c;
    struct arena scratch;
    struct flat file;
    struct name *names;
    uint32_t n_names, cap_names;
};

/* struct snap_ref[] of the names in the lists; without repeats. */
struct snap_ref build_name_list(struct build *b, const struct conf_node *const *lists,
                                uint32_t n_lists);

void build_settings(struct build *b, struct snap_settings *s);
