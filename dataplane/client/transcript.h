#pragma once

/*
 * Prompt and reply of a request, kept for the log where store_prompts_in_spend_logs is on: copied
 * as they pass, handed to the link when the books are closed (shared/transcripts.h). Off, there is
 * none and nothing of this runs. Whatever goes wrong costs the transcript and never the request.
 */

#include "client/request.h"

/* An attempt's books were opened: what the client sent is kept, unless key, team or request say
 * that nothing is. Another attempt forgets what the one before got. */
void transcript_begin(struct request *r);

/* The next events of a stream, as the upstream sent them or as the client gets them; of all of them
 * a whole reply is made. */
void transcript_events(struct request *r, struct str events);

/* The whole reply, as the client gets it. */
void transcript_reply(struct request *r, struct str reply);

/* The reply is one that is not held: of it only its size is kept. */
void transcript_skip(struct request *r);

/* The books are closed: hands it on. */
void transcript_close(struct request *r);

/* Ends it without that. */
void transcript_drop(struct request *r);
