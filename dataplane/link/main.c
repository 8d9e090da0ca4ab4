/* weir-link: options. */

#include <getopt.h>

#include "link/config.h"
#include "link/link.h"
#include "link/spool_print.h"

static const char help[] =
    "Usage: weir-link --check FILE\n"
    "       weir-link --spool DIR\n"
    "\n"
    "The part of the data plane that reads configurations and keeps usage records. weir-dataplane\n"
    "starts it.\n"
    "\n"
    "      --check FILE  say whether the configuration would be accepted, and what it holds\n"
    "      --spool DIR   print the usage records in DIR (spool below the state directory), one "
    "JSON\n"
    "                    object a line\n"
    "      --config FILE serve beside weir-dataplane; for its use\n"
    "      --version     print the version\n"
    "  -h, --help        print this text\n";

int main(int argc, char **argv)
{
    enum { OPT_CHECK = 256, OPT_SPOOL, OPT_VERSION };
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", required_argument, NULL, OPT_CHECK},
        {"spool", required_argument, NULL, OPT_SPOOL},
        {"version", no_argument, NULL, OPT_VERSION},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int opt = getopt_long(argc, argv, "c:h", options, NULL);

    switch (opt) {
    case 'c':
        return link_run(optarg);
    case OPT_CHECK:
        return config_check(optarg, stdout);
    case OPT_SPOOL:
        return spool_print(optarg, stdout);
    case OPT_VERSION:
        (void)puts("weir-link " WEIR_VERSION);
        return 0;
    case 'h':
        (void)fputs(help, stdout);
        return 0;
    default:
        (void)fputs("weir-link: what to do? (see --help)\n", stderr);
        return 2;
    }
}
