/* What the programs that write pages share. */

#include "docs/page.h"

#include <stdlib.h>
#include <string.h>

static int check(const char *path, const char *page, size_t n, const char *program)
{
    char *was = malloc(n + 2);
    FILE *f = fopen(path, "r");
    size_t got = f && was ? fread(was, 1, n + 1, f) : 0;
    int same = got == n && memcmp(was, page, n) == 0;

    if (f)
        fclose(f);
    free(was);
    if (!same)
        fprintf(stderr, "%s is not what the code says: run %s > %s\n", path, program, path);
    return !same;
}

int page_main(int argc, char **argv, void (*write_page)(FILE *f), const char *program)
{
    char *page = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&page, &n);
    int rc = 0;

    if (!f)
        return 1;
    write_page(f);
    fclose(f);
    if (argc == 3 && strcmp(argv[1], "--check") == 0)
        rc = check(argv[2], page, n, program);
    else
        fwrite(page, 1, n, stdout);
    free(page);
    return rc;
}
