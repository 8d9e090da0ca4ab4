#pragma once

/* Random bytes that name something, kept in a file. */

#include "common/base.h"

enum { NAME_FILE = 16 };

bool name_file_read(const char *path, unsigned char out[NAME_FILE]);

/* Under another name first, since half a name is none; synced. False: errno says why. */
bool name_file_write(const char *path, const unsigned char name[NAME_FILE]);
