/* weirctl: options, help, which command. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <unistd.h>

#include "common/proc.h"

#include "cli/command.h"

static const char help_begin[] = "Usage: weirctl [OPTION...] GROUP COMMAND [ID] [NAME=VALUE...]\n"
                                 "\n"
                                 "Administers Weir over its management API.\n\n";

static const char help_end[] =
    "  apply -f FILE    make objects as a YAML or JSON file says; shows what would change, and "
    "asks\n"
    "  completion bash  source <(weirctl completion bash)\n"
    "  help             this text; weirctl GROUP --help, weirctl GROUP COMMAND --help\n"
    "\n"
    "      --url URL        the management API ($WEIR_URL, else of quickstart, else\n"
    "                       http://127.0.0.1:4001)\n"
    "      --key-file FILE  the key in a file ($WEIR_API_KEY, else $LITELLM_MASTER_KEY, else of\n"
    "                       quickstart)\n"
    "      --state DIR      quickstart's state directory, where its address and key are\n"
    "      --json           JSON instead of tables\n"
    "      --all            all rows of a list, not the first thousand\n"
    "  -f FILE              apply: the file; - is standard input\n"
    "      --dry-run        apply: only show; exit status 4 where something would change\n"
    "  -y, --yes            apply: do not ask\n"
    "      --force          apply: also send what cannot be read back, as credentials\n"
    "      --from DAY, --to DAY, --by WHAT, --provider NAME\n"
    "                       the same as from=DAY ..., of commands that take it\n"
    "      --watch          the answer again every two seconds, until it is interrupted\n"
    "      --columns LIST   spend invoice: where things stand in the file, as "
    "id=request_id,cost=usd\n"
    "      --version        print the version\n"
    "  -h, --help           this text, or that of a group or command\n"
    "\n"
    "Exit status: 0 done, 1 refused, 2 wrong usage, 3 no answer, 4 apply --dry-run found "
    "changes,\n"
    "spend verify or spend invoice differences.\n";

enum { ARENA_MAX = 1 << 30, KEY_MAX = 512, WATCH_S = 2 };

/* ---- help ---- */

static void put_help(void)
{
    (void)fputs(help_begin, stdout);
    for (size_t i = 0; i < command_group_count(); i++) {
        const struct command_group *g = command_group_at(i);
        (void)printf("  %-16.*s %s\n", (int)g->name.n, g->name.p, g->sentence);
    }
    (void)fputs(help_end, stdout);
}

static void put_group_help(const struct command_group *g)
{
    (void)printf("weirctl " STR_FMT " COMMAND\n\n%s\n\n", STR_ARG(g->name), g->sentence);
    for (size_t i = 0; i < command_count(); i++) {
        const struct command *cmd = command_at(i);
        if (str_eq(cmd->group, g->name))
            (void)printf("  %-14.*s %s\n", (int)cmd->verb.n, cmd->verb.p, cmd->sentence);
    }
}

/* ---- where, and with which key ---- */

static const char *env(const char *name)
{
    const char *v = getenv(name);

    return v && v[0] ? v : NULL;
}

/* The first line of a small file, without blanks around it; empty when it cannot be read. */
static struct str first_line(struct arena *a, const char *path)
{
    char text[KEY_MAX + 1];
    struct str line, rest;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        (void)close(fd); /* only read from */
    if (n <= 0)
        return (struct str){0};
    (void)str_cut((struct str){text, (size_t)n}, '\n', &line, &rest); /* one line is all of it */
    line = arena_str(a, str_trim(line));
    explicit_bzero(text, sizeof text);
    return line;
}

/* quickstart keeps its address and key in files of its state directory. */
static struct str of_quickstart(struct arena *a, const char *state, const char *file)
{
    const char *home = env("HOME"), *systemd = env("STATE_DIRECTORY");
    const struct str dirs[] = {
        state ? str_of(state) : (struct str){0},
        systemd && !state ? arena_printf(a, "%s/quickstart-4000", systemd) : (struct str){0},
        state ? (struct str){0} : STR("/var/lib/weir/quickstart-4000"),
        home && !state ? arena_printf(a, "%s/.local/state/weir/quickstart-4000", home)
                       : (struct str){0},
    };

    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        struct str path =
            dirs[i].n ? arena_printf(a, STR_FMT "/%s", STR_ARG(dirs[i]), file) : (struct str){0};
        struct str line = path.n ? first_line(a, path.p) : (struct str){0};
        if (line.n)
            return line;
    }
    return (struct str){0};
}

struct options {
    const char *url, *key_file, *state;
    bool help;
    const char *members[8]; /* name=value, given as options */
    int n_members;
};

static enum cli_exit connect_(struct cli *c, const struct options *o)
{
    struct str url = o->url            ? str_of(o->url)
                     : env("WEIR_URL") ? str_of(env("WEIR_URL"))
                                       : of_quickstart(&c->arena, o->state, "url");
    struct str key = {0};
    struct err e;

    if (o->key_file) {
        key = first_line(&c->arena, o->key_file);
        if (!key.n)
            return cli_fail(CLI_USAGE, "%s: %s", o->key_file,
                            errno ? strerror(errno) : "it is empty");
    } else if (!o->state) { /* who names a quickstart means its key */
        const char *v = env("WEIR_API_KEY") ? env("WEIR_API_KEY") : env("LITELLM_MASTER_KEY");
        key = v ? str_of(v) : (struct str){0};
    }
    if (!key.n)
        key = of_quickstart(&c->arena, o->state, "master-key");
    if (client_new(&c->client, url.n ? url.p : "http://127.0.0.1:4001", key, &e))
        return cli_fail(CLI_USAGE, "%s", e.msg);
    return CLI_OK;
}

/* ---- which command ---- */

static enum cli_exit run_apply(struct cli *c, const struct options *o, int n_args)
{
    enum cli_exit rc;

    if (n_args || !c->file)
        return cli_fail(CLI_USAGE, "apply needs -f FILE");
    rc = connect_(c, o);
    return rc ? rc : cli_apply(c);
}

/* Commands that are more than a request. */
static const struct {
    struct str group, verb;
    enum cli_exit (*run)(struct cli *c, const struct command *cmd, char *const *args, int n_args);
} special[] = {
    {STR_INIT("spend"), STR_INIT("verify"), cli_verify},
    {STR_INIT("spend"), STR_INIT("invoice"), cli_invoice},
    {STR_INIT("why"), STR_INIT(""), cli_why},
};

static enum cli_exit run_once(struct cli *c, const struct command *cmd, char *const *args,
                              int n_args)
{
    for (size_t i = 0; i < ARRAY_LEN(special); i++)
        if (str_eq(special[i].group, cmd->group) && str_eq(special[i].verb, cmd->verb))
            return special[i].run(c, cmd, args, n_args);
    return command_run(c, cmd, args, n_args);
}

static enum cli_exit run_command(struct cli *c, const struct command *cmd, const struct options *o,
                                 char *const *args, int n_args)
{
    char **all = calloc((size_t)(n_args + o->n_members) + 1, sizeof *all);
    enum cli_exit rc = all ? CLI_OK : cli_fail(CLI_REFUSED, "no memory");

    for (int i = 0; all && i < n_args + o->n_members; i++)
        all[i] = i < n_args ? args[i] : (char *)(uintptr_t)o->members[i - n_args]; /* only read */
    while (!rc) {
        if (c->watch && isatty(STDOUT_FILENO))
            (void)fputs("\033[H\033[2J", stdout);
        rc = run_once(c, cmd, all, n_args + o->n_members);
        if (!c->watch || fflush(stdout))
            break;
        (void)sleep(WATCH_S); /* a signal ends the program */
    }
    free(all);
    return rc;
}

static enum cli_exit run(struct cli *c, const struct options *o, char *const *args, int n_args)
{
    struct str first = n_args ? str_of(args[0]) : (struct str){0};
    struct str second = n_args > 1 && !strchr(args[1], '=') ? str_of(args[1]) : (struct str){0};
    const struct command_group *g = command_group_find(first);
    const struct command *cmd = g ? command_find(first, second) : NULL;
    enum cli_exit rc;

    if (!first.n || str_eq(first, STR("help")) || (o->help && !g)) {
        put_help();
        return first.n || o->help ? CLI_OK : CLI_USAGE;
    }
    if (str_eq(first, STR("completion"))) {
        if (!str_eq(second, STR("bash")))
            return cli_fail(CLI_USAGE, "completion is for bash: weirctl completion bash");
        cli_complete_bash(stdout);
        return CLI_OK;
    }
    if (str_eq(first, STR("apply")))
        return run_apply(c, o, n_args - 1);
    if (!g)
        return cli_fail(CLI_USAGE, "there is no command %s; see weirctl --help", args[0]);
    if (o->help && cmd && (second.n || !cmd->verb.n)) {
        command_help(stdout, cmd);
        return CLI_OK;
    }
    if (o->help || (!second.n && !cmd)) {
        put_group_help(g);
        return o->help ? CLI_OK : CLI_USAGE;
    }
    if (!cmd)
        return cli_fail(CLI_USAGE, "there is no command %s %s; see weirctl %s --help", args[0],
                        args[1], args[0]);
    rc = connect_(c, o);
    int skip = second.n && str_eq(second, cmd->verb) ? 2 : 1;
    return rc ? rc : run_command(c, cmd, o, args + skip, n_args - skip);
}

int main(int argc, char **argv)
{
    enum {
        OPT_URL = 256,
        OPT_KEY_FILE,
        OPT_STATE,
        OPT_JSON,
        OPT_ALL,
        OPT_DRY,
        OPT_FORCE,
        OPT_VERSION,
        OPT_WATCH,
        OPT_COLUMNS,
        OPT_MEMBER,
    };
    static const struct option long_options[] = {
        {"url", required_argument, NULL, OPT_URL},
        {"key-file", required_argument, NULL, OPT_KEY_FILE},
        {"state", required_argument, NULL, OPT_STATE},
        {"json", no_argument, NULL, OPT_JSON},
        {"all", no_argument, NULL, OPT_ALL},
        {"dry-run", no_argument, NULL, OPT_DRY},
        {"yes", no_argument, NULL, 'y'},
        {"force", no_argument, NULL, OPT_FORCE},
        {"version", no_argument, NULL, OPT_VERSION},
        {"watch", no_argument, NULL, OPT_WATCH},
        {"columns", required_argument, NULL, OPT_COLUMNS},
        {"from", required_argument, NULL, OPT_MEMBER},
        {"to", required_argument, NULL, OPT_MEMBER},
        {"by", required_argument, NULL, OPT_MEMBER},
        {"provider", required_argument, NULL, OPT_MEMBER},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct options o = {0};
    struct cli c = {0};

    struct err e;
    int opt, at = 0;

    if (proc_hide_environment(&e))
        return cli_fail(CLI_REFUSED, "%s", e.msg);
    arena_init(&c.arena, NULL, ARENA_MAX);
    while ((opt = getopt_long(argc, argv, "f:yh", long_options, &at)) != -1) {
        switch (opt) {
        case OPT_URL:
            o.url = optarg;
            break;
        case OPT_KEY_FILE:
            o.key_file = optarg;
            break;
        case OPT_STATE:
            o.state = optarg;
            break;
        case OPT_JSON:
            c.json = true;
            break;
        case OPT_ALL:
            c.all = true;
            break;
        case OPT_DRY:
            c.dry_run = true;
            break;
        case OPT_FORCE:
            c.force = true;
            break;
        case OPT_VERSION:
            (void)puts("weirctl " WEIR_VERSION);
            return 0;
        case OPT_WATCH:
            c.watch = true;
            break;
        case OPT_COLUMNS:
            c.columns = optarg;
            break;
        case OPT_MEMBER:
            if (o.n_members == ARRAY_LEN(o.members))
                return (int)cli_fail(CLI_USAGE, "too many options");
            o.members[o.n_members++] =
                arena_printf(&c.arena, "%s=%s", long_options[at].name, optarg).p;
            break;
        case 'f':
            c.file = optarg;
            break;
        case 'y':
            c.yes = true;
            break;
        case 'h':
            o.help = true;
            break;
        default:
            return CLI_USAGE; /* getopt has said why */
        }
    }
    enum cli_exit rc = run(&c, &o, argv + optind, argc - optind);
    if (fflush(stdout) || ferror(stdout))
        rc = rc ? rc : cli_fail(CLI_REFUSED, "the output could not be written");
    c.client = client_free(c.client);
    arena_reset(&c.arena);
    return (int)rc;
}
