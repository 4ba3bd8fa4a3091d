/* The monotonic clock: how long something takes, and until when to wait. No date can be told from it. */
#ifndef RF_CLOCK_H
#define RF_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

double rf_clock_seconds(void);
int64_t rf_clock_ms(void);

/* A condition on which threads wait by this clock; the deadline of such a wait, `ms` from now. */
void rf_clock_condition(pthread_cond_t *condition);
struct timespec rf_clock_after(int ms);

#endif
