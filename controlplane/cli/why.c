/* weirctl why ID: a request's story. */

#include "cli/command.h"
#include "cli/show.h"

/* Members that a person asks for besides the words. */
static void put_exchange(struct cli *c, yyjson_val *x)
{
    yyjson_val *words = yyjson_obj_get(x, "why"), *one;
    size_t i, n;

    (void)putchar('\n');
    yyjson_arr_foreach(words, i, n, one)
    {
        struct str text = show_harmless(&c->arena, cli_text(one));
        (void)printf("%s" STR_FMT "\n", i ? "  " : "", STR_ARG(text));
    }
    (void)putchar('\n');
    show_object_but(stdout, &c->arena, x, "why");
}

enum cli_exit cli_why(struct cli *c, const struct command *cmd, char *const *args, int n_args)
{
    yyjson_doc *doc = NULL;
    enum cli_exit rc = command_ask(c, cmd, args, n_args, &doc);
    yyjson_val *root = yyjson_doc_get_root(doc), *one;
    size_t i, n;

    if (rc)
        return rc;
    if (c->json) {
        struct str text = cli_json(&c->arena, root, true);
        (void)printf(STR_FMT "\n", STR_ARG(text));
    } else {
        show_object_but(stdout, &c->arena, root, "exchanges");
        yyjson_arr_foreach(yyjson_obj_get(root, "exchanges"), i, n, one)
        {
            put_exchange(c, one);
        }
    }
    yyjson_doc_free(doc);
    return CLI_OK;
}
