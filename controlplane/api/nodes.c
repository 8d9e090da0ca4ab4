/* /weir/nodes: the data planes of all control planes. */

#include "common/clock.h"

#include "api/reply.h"
#include "daemon.h"
#include "publish/publish.h"
#include "publish/roster.h"

void api_nodes(struct call *c)
{
    struct store *s = &c->store;
    struct hub *hub = publish_hub(c->d->publish);
    struct revision now = hub_revision(hub);
    yyjson_mut_val *out = roster_read(publish_roster(c->d->publish), s, hub, clock_mono_ns());

    row_put_int(s, out, "epoch", (int64_t)now.epoch);
    row_put_int(s, out, "revision", (int64_t)now.n);
    reply(c, out);
}
