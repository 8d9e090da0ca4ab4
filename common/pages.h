#pragma once

/* What the system is told of whole pages inside a range. The first two give memory back while its
 * addresses stay ours: they read as zeros again. */

#include "common/base.h"

/* Private memory: a buffer whose content is not needed any more. */
void pages_forget(void *p, size_t n);

/* A shared mapping of a file: the pages go from the file, for every process. */
void pages_remove(void *p, size_t n);

/* Memory that is written from its beginning: hundreds of pages are better had at once. */
void pages_huge(void *p, size_t n);
