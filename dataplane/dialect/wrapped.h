#pragma once

/*
 * Text inside the arguments of a tool call: of a tool that takes free text and was told to the
 * upstream as a function of one member ({"content":"the text"}), and of arguments that were encoded
 * twice (F.23). Escapes of the outer text are taken off as it comes, piece by piece; what is left
 * is a text as it stands inside a JSON string again. Pure.
 */

#include "common/jout.h"

#define WRAPPED_MEMBER "content"

enum wrapped_state {
    WRAPPED_HEAD,  /* {"content":" is being read */
    WRAPPED_TEXT,  /* inside the text */
    WRAPPED_DONE,  /* behind it */
    WRAPPED_PLAIN, /* it is something else, which passes as it is */
};

struct wrapped {
    uint8_t state;   /* enum wrapped_state; zeroed: none of it read */
    uint8_t head_at; /* private: bytes of the head that matched */
    uint8_t inner_n; /* private */
    bool is_twice;   /* the head is the quote of arguments encoded twice */
    char inner[6];   /* private: an unfinished escape of the inner text */
};

/*
 * Reads the next piece of the arguments (as it stands inside a JSON string; escapes are never cut)
 * and appends what of the text is in it to `out`. While the state is HEAD nothing is appended: the
 * caller keeps the pieces and, should it become PLAIN, has all of them.
 */
void wrapped_feed(struct wrapped *w, struct jstr piece, struct jout *out);

/* The arguments are JSON text in a JSON string; decided by their first piece that is no blank. */
bool wrapped_is_twice(struct jstr first);
