#pragma once

/* Pages written by programs: to standard output, or compared with the file in the tree. */

#include <stdio.h>

/*
 * main() of such a program: writes the page, or with "--check FILE" says whether FILE is it.
 * `program` is what to run where it is not.
 */
int page_main(int argc, char **argv, void (*write_page)(FILE *f), const char *program);
