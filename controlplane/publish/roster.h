#pragma once

/*
 * All control planes of a database and the data planes of each: every one writes its own into
 * weir.control_plane, and reads the others'. A row that nobody renews is a control plane that
 * ended.
 */

#include "publish/hub.h"
#include "store/store.h"

struct roster { /* this process */
    char id[33], name[144];
    uint64_t written_ns; /* private: of the thread that writes */
};

void roster_init(struct roster *r);

/* Writes this one's row when it is due, and forgets those long ended. */
void roster_write(struct roster *r, struct store *s, struct hub *hub, uint64_t now_ns);

/* It ends: its row goes. */
void roster_leave(const struct roster *r, struct tx *tx);

/* {"nodes", "control_planes"}: every data plane once, where it was last heard of. */
yyjson_mut_val *roster_read(const struct roster *r, struct store *s, struct hub *hub,
                            uint64_t now_ns);
