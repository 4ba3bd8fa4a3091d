#include "core/clock.h"

static struct timespec now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time;
}

double rf_clock_seconds(void) {
    struct timespec time = now();
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int64_t rf_clock_ms(void) {
    struct timespec time = now();
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

void rf_clock_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

struct timespec rf_clock_after(int ms) {
    struct timespec when = now();
    when.tv_sec += ms / 1000;
    when.tv_nsec += (long)(ms % 1000) * 1000000L;
    if (when.tv_nsec < 1000000000L) return when;
    when.tv_sec++;
    when.tv_nsec -= 1000000000L;
    return when;
}
