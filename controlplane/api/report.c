#include "api/report.h"

void out_begin(struct out *o, struct call *c, struct str type)
{
    *o = (struct out){.c = c, .type = type, .w = jw_init(&c->arena)};
}

void out_begin_file(struct out *o, struct call *c, struct str type, struct str name)
{
    c->headers = arena_printf(&c->arena,
                              "Content-Disposition: attachment; filename=\"" STR_FMT
                              "\"\r\nCache-Control: no-store\r\n",
                              STR_ARG(name));
    out_begin(o, c, type);
}

bool out_wants(const struct out *o)
{
    return tx_ok(&o->c->store.tx) && arena_ok(&o->c->arena);
}

void out_end(struct out *o)
{
    reply_text(o->c, o->type, jw_finish(&o->w));
}

void report_begin(struct call *c)
{
    (void)c;
}
