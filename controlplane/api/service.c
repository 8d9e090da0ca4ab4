/* Routes about the service itself, answered on the loop. */

#include "api/reply.h"
#include "daemon.h"
#include "embedded.h"
#include "store/db.h"

/* Whoever sends requests here is told to stop. */
static bool is_ending(struct call *c)
{
    yyjson_mut_val *v = row_new(&c->store);

    if (!daemon_is_ending(c->d))
        return false;
    row_put_text(&c->store, v, "status", STR("shutting_down"));
    reply_status(c, 503, v);
    return true;
}

void api_alive(struct call *c)
{
    if (is_ending(c))
        return;
    reply_text(c, STR("application/json"), STR("\"I'm alive!\""));
}

void api_ready(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *v = row_new(s);
    bool up = daemon_is_open(c->d) && db_health_is_up(c->d->health);

    if (is_ending(c))
        return;
    row_put_text(s, v, "status", up ? STR("healthy") : STR("unhealthy"));
    row_put_text(s, v, "db", up ? STR("connected") : STR("disconnected"));
    row_put_text(s, v, "weir_version", STR(WEIR_VERSION));
    reply_status(c, up ? 200 : 503, v);
}

/* LiteLLM's default: nobody is drained over HTTP. */
void api_drain(struct call *c)
{
    refuse_text(c, 404, "Not Found");
}

void api_openapi(struct call *c)
{
    reply_text(c, STR("application/json"), str_of(c->d->openapi));
}

void api_page(struct call *c)
{
    reply_text(c, STR("text/html; charset=utf-8"), str_of(page_html[0].text));
    c->headers = STR("Content-Security-Policy: default-src 'none'; connect-src 'self'; "
                     "script-src 'unsafe-inline'; style-src 'unsafe-inline'\r\n");
}

void api_routes(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *v = row_new(s), *list = row_list(s);

    for (unsigned i = 0; i < ADMIN_ROUTES; i++) {
        const struct route_row *r = &route_rows[i];
        yyjson_mut_val *one = row_new(s), *methods = row_list(s);
        (void)yyjson_mut_arr_add_str(s->doc, methods,
                                     route_method_name((enum route_method)r->method));
        row_put_text(s, one, "path", r->path);
        row_put(s, one, "methods", methods);
        row_put_text(s, one, "name", str_of(r->name));
        row_append(s, list, one);
    }
    row_put(s, v, "routes", list);
    reply(c, v);
}

void api_robots(struct call *c)
{
    reply_text(c, STR("text/plain"), STR("User-agent: *\nDisallow: /\n"));
}
