/* weir-dataplane: options, and the role they choose. */

#include <getopt.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/num.h"
#include "common/proc.h"

#include "manager/manager.h"
#include "worker/worker.h"

static const char help[] =
    "Usage: weir-dataplane [--config FILE] [--host ADDRESS] [--port N] [--num_workers N]\n"
    "       weir-dataplane --check FILE\n"
    "\n"
    "Serves the OpenAI and Anthropic APIs over the models of a LiteLLM configuration.\n"
    "\n"
    "  -c, --config FILE   the configuration ($CONFIG_FILE_PATH, else ./config.yaml)\n"
    "      --host ADDRESS  where to listen (0.0.0.0; without a master key 127.0.0.1 and nothing "
    "else;\n"
    "                      :: takes IPv4 and IPv6)\n"
    "      --port N        port to listen on ($PORT, else weir.port of the file, else 4000)\n"
    "      --num_workers N worker processes ($NUM_WORKERS, else weir.workers of the file, else one "
    "for\n"
    "                      each processor this process may use)\n"
    "      --check FILE    say whether the configuration would be accepted, and what it holds\n"
    "      --version       print the version\n"
    "  -h, --help          print this text\n"
    "\n"
    "Signals:\n"
    "  TERM  stop: not ready at once, new connections for 5 s more, running requests may finish\n"
    "  INT   the same without those 5 s; a second TERM or INT ends at once\n"
    "  HUP   read the configuration again; a bad one changes nothing\n"
    "  USR1  reopen the access log\n"
    "\n"
    "Directories:\n"
    "  usage records         $WEIR_STATE_DIR, else $STATE_DIRECTORY, /var/lib/weir or\n"
    "                        ~/.local/state/weir\n"
    "  sockets, shared data  $WEIR_RUN_DIR, else $RUNTIME_DIRECTORY, /run/weir or below the "
    "former\n"
    "\n"
    "WEIR_CORES=1 allows core files and debuggers, which see credentials.\n";

NORETURN static void die(const char *what, const char *value)
{
    (void)fprintf(stderr, "weir-dataplane: %s: %s (see --help)\n", what, value);
    exit(2);
}

static uint32_t number(const char *name, const char *value, uint32_t min, uint32_t max)
{
    uint32_t v;

    if (!num_u32(str_of(value), &v) || v < min || v > max)
        die(name, value);
    return v;
}

static const char *env(const char *name)
{
    const char *v = getenv(name);

    return v && v[0] ? v : NULL;
}

/* Replaces this process by the link, which alone reads configurations. */
NORETURN static void check(const char *file)
{
    char path[4096];
    char *argv[] = {(char *)(uintptr_t) "weir-link", (char *)(uintptr_t) "--check",
                    (char *)(uintptr_t)file, NULL};
    struct err e;

    if (!proc_sibling(path, sizeof path, "weir-link", &e))
        (void)proc_exec(path, argv, environ, &e);
    (void)fprintf(stderr, "weir-dataplane: %s\n", e.msg);
    exit(1);
}

/* The form in which the manager starts workers: --worker REGION LISTENERS. */
static int run_worker(char **argv)
{
    uint32_t region, listeners;

    if (!num_u32(str_of(argv[2]), &region) || !num_u32(str_of(argv[3]), &listeners))
        die("internal option", argv[1]);
    (void)prctl(PR_SET_NAME, "weir-worker", 0, 0, 0);
    proc_harden(true); /* as the manager decided */
    return worker_main(region, listeners);
}

int main(int argc, char **argv)
{
    enum { OPT_HOST = 256, OPT_PORT, OPT_WORKERS, OPT_CHECK, OPT_VERSION };
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"host", required_argument, NULL, OPT_HOST},
        {"port", required_argument, NULL, OPT_PORT},
        {"num_workers", required_argument, NULL, OPT_WORKERS},
        {"num-workers", required_argument, NULL, OPT_WORKERS},
        {"check", required_argument, NULL, OPT_CHECK},
        {"version", no_argument, NULL, OPT_VERSION},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct manager_options o = {.port = -1};
    struct err e;
    int opt;

    if (argc == 4 && strcmp(argv[1], "--worker") == 0)
        return run_worker(argv);
    if (proc_hide_environment(&e))
        die("start", e.msg);
    o.config = env("CONFIG_FILE_PATH");
    if (env("PORT"))
        o.port = (int32_t)number("PORT", env("PORT"), 0, 65535);
    if (env("NUM_WORKERS"))
        o.workers = number("NUM_WORKERS", env("NUM_WORKERS"), 1, 1024);
    while ((opt = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (opt) {
        case 'c':
            o.config = optarg;
            break;
        case OPT_HOST:
            o.host = optarg;
            break;
        case OPT_PORT:
            o.port = (int32_t)number("--port", optarg, 0, 65535);
            break;
        case OPT_WORKERS:
            o.workers = number("--num_workers", optarg, 1, 1024);
            break;
        case OPT_CHECK:
            check(optarg);
        case OPT_VERSION:
            (void)puts("weir-dataplane " WEIR_VERSION);
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
    return manager_main(&o);
}
