/* weirctl spend verify: what GET /weir/spend/verify found, and exit status 4 where that is
 * something. */

#include "cli/command.h"
#include "cli/show.h"

static void put_differences(struct cli *c, const struct command *cmd, yyjson_val *list)
{
    struct show_row *rows = arena_alloc(&c->arena, (yyjson_arr_size(list) + 1) * sizeof *rows);
    yyjson_val *one;
    size_t i, n;

    if (!rows || !yyjson_arr_size(list))
        return;
    yyjson_arr_foreach(list, i, n, one)
    {
        rows[i] = (struct show_row){one, NULL};
    }
    (void)putchar('\n');
    show_table(stdout, &c->arena, rows, yyjson_arr_size(list), cmd->columns);
}

enum cli_exit cli_verify(struct cli *c, const struct command *cmd, char *const *args, int n_args)
{
    yyjson_doc *doc = NULL;
    enum cli_exit rc = command_ask(c, cmd, args, n_args, &doc);

    if (rc)
        return rc;
    yyjson_val *root = yyjson_doc_get_root(doc), *list = cli_at(root, cmd->result);
    if (c->json) {
        struct str text = cli_json(&c->arena, root, true);
        (void)printf(STR_FMT "\n", STR_ARG(text));
    } else {
        show_object_but(stdout, &c->arena, root, cmd->result);
        put_differences(c, cmd, list);
    }
    rc = yyjson_arr_size(list) ? CLI_DIFFERS : CLI_OK;
    yyjson_doc_free(doc);
    return rc;
}
