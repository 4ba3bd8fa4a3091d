/* Makes the Nth call of one kind go wrong, in this program and in every library it uses. */
#ifndef NTH_CALL_H
#define NTH_CALL_H

#include <stdbool.h>

/* Arms the fault `kind` ("malloc", "recv short", …) for its `nth` call from now on, by any thread. False: no such kind. */
bool nth_call_arm(const char *kind, long nth);

/* Disarms, and tells whether the call came. */
bool nth_call_struck(void);

#endif
