#include "link/reply.h"

static void *take(void *arena, size_t n)
{
    return arena_alloc(arena, n);
}

static void give(void *arena, void *p)
{
    (void)arena; /* freed whole */
    (void)p;
}

static const char *fault_of_welcome(const Weir__Welcome *w)
{
    return w->session.len == 0 || w->session.len > REPLY_SESSION_MAX ? "the session has no name"
                                                                     : NULL;
}

static const char *fault_of_changes(const Weir__Changes *c)
{
    if (!c->now)
        return "changes without a revision";
    if (c->cursor.len > REPLY_CURSOR_MAX)
        return "the cursor is too long";
    return NULL;
}

static const char *fault_of(const Weir__Reply *r)
{
    switch (r->is_case) {
    case WEIR__REPLY__IS_WELCOME:
        return fault_of_welcome(r->welcome);
    case WEIR__REPLY__IS_CHANGES:
        return fault_of_changes(r->changes);
    case WEIR__REPLY__IS_REFUSAL:
    case WEIR__REPLY__IS_STATUS_TAKEN:
    case WEIR__REPLY__IS_USAGE_TAKEN:
    case WEIR__REPLY__IS_TRANSCRIPTS_TAKEN:
        return NULL;
    case WEIR__REPLY__IS__NOT_SET:
    case _WEIR__REPLY__IS__CASE_IS_INT_SIZE:
        break;
    }
    return "an answer of no known kind";
}

enum errc reply_read(const Weir__Reply **ret_r, struct str bytes, struct arena *a, struct err *e)
{
    ProtobufCAllocator in_arena = {.alloc = take, .free = give, .allocator_data = a};
    const char *fault;

    if (bytes.n > REPLY_MAX)
        return err_set(e, ERRC_LIMIT, 0, "an answer of %zu bytes", bytes.n);
    Weir__Reply *r = weir__reply__unpack(&in_arena, bytes.n, (const uint8_t *)bytes.p);
    if (!arena_ok(a))
        return err_set(e, ERRC_LIMIT, 0, "an answer of %zu bytes is too large unpacked", bytes.n);
    fault = r ? fault_of(r) : "no message of the session";
    if (fault)
        return err_set(e, ERRC_PROTO, 0, "%s", fault);
    *ret_r = r;
    return ERRC_OK;
}
