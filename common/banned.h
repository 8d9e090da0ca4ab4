#pragma once

/*
 * Functions that do not compile here: unbounded copies, locale- or overflow-blind parsing, and
 * ways to start code that is not ours. Included by base.h after the system headers that declare
 * them.
 */
#undef sprintf /* macros with clang and fortified headers */
#undef vsprintf
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets
#pragma GCC poison atoi atol atoll strtol strtoul strtoll strtoull localtime gmtime
#pragma GCC poison system popen dlopen
