/* weir-controlplane: options. */

#include <getopt.h>
#include <unistd.h>

#include "common/log.h"
#include "common/num.h"
#include "common/proc.h"

#include "daemon.h"

static const char help[] =
    "Usage: weir-controlplane [--config FILE] [--host ADDRESS] [--port N] [--adopt] [--migrate]\n"
    "\n"
    "Serves the management API over a LiteLLM configuration and its PostgreSQL database.\n"
    "\n"
    "  -c, --config FILE   the configuration ($CONFIG_FILE_PATH, else ./config.yaml)\n"
    "      --host ADDRESS  where to listen (weir.admin_host of the file, else 127.0.0.1)\n"
    "      --port N        port to listen on (weir.admin_port of the file, else 4001)\n"
    "      --adopt         use a database that LiteLLM made: says what it adds, then adds it\n"
    "      --migrate       bring the database up to date and end\n"
    "      --version       print the version\n"
    "  -h, --help          print this text\n"
    "\n"
    "The database is DATABASE_URL, or general_settings.database_url. An empty one gets LiteLLM's\n"
    "schema; what is Weir's own lies in the schema weir.\n"
    "\n"
    "TERM and INT stop it: running requests may finish; a second one ends at once.\n"
    "WEIR_CORES=1 allows core files and debuggers, which see credentials.\n";

NORETURN static void die(const char *what, const char *value)
{
    (void)fprintf(stderr, "weir-controlplane: %s: %s (see --help)\n", what, value);
    exit(2);
}

static const char *env(const char *name)
{
    const char *v = getenv(name);

    return v && v[0] ? v : NULL;
}

int main(int argc, char **argv)
{
    enum { OPT_HOST = 256, OPT_PORT, OPT_ADOPT, OPT_MIGRATE, OPT_VERSION };
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"host", required_argument, NULL, OPT_HOST},
        {"port", required_argument, NULL, OPT_PORT},
        {"adopt", no_argument, NULL, OPT_ADOPT},
        {"migrate", no_argument, NULL, OPT_MIGRATE},
        {"version", no_argument, NULL, OPT_VERSION},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct daemon_options o = {.port = -1};
    struct err e;
    uint32_t port;
    int opt;

    if (proc_hide_environment(&e))
        die("start", e.msg);
    o.config = env("CONFIG_FILE_PATH");
    while ((opt = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (opt) {
        case 'c':
            o.config = optarg;
            break;
        case OPT_HOST:
            o.host = optarg;
            break;
        case OPT_PORT:
            if (!num_u32(str_of(optarg), &port) || port > 65535)
                die("--port", optarg);
            o.port = (int32_t)port;
            break;
        case OPT_ADOPT:
            o.adopt = true;
            break;
        case OPT_MIGRATE:
            o.migrate_only = true;
            break;
        case OPT_VERSION:
            (void)puts("weir-controlplane " WEIR_VERSION);
            return 0;
        case 'h':
            (void)fputs(help, stdout);
            return 0;
        default:
            return 2; /* getopt has said why */
        }
    }
    if (optind < argc)
        die("unexpected argument", argv[optind]);
    if (!o.config && access("config.yaml", F_OK) == 0)
        o.config = "config.yaml";
    if (!o.config)
        die("no configuration", "give --config FILE, set CONFIG_FILE_PATH, or start where "
                                "config.yaml is");
    proc_harden(env("WEIR_CORES") != NULL);
    log_init("controlplane", LOG_INFO);
    return daemon_main(&o);
}
