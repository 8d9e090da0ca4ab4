#pragma once

/* The errors of proto/errors.def by name. */

enum client_error {
#define ERROR(id, status, type, code, message) ERROR_##id,
#include "proto/errors.def"
#undef ERROR
    CLIENT_ERRORS, /* also: none */
};
