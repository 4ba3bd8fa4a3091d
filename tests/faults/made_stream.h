/* A stream for a job that has no source. */
#ifndef MADE_STREAM_H
#define MADE_STREAM_H

#include "core/arrow.h"

/* 20 batches of 500 rows (id bigint, n bigint): id rises from 1, and n is 7 times it. */
void make_stream(struct ArrowArrayStream *out);

#endif
