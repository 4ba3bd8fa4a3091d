#include "core/parts.h"

enum {
    PARTS_PER_READER = 8, /* so that the last ones to finish finish together */
    LEAST_PAGES = 512,    /* 4 MiB: less is read faster than it is cut */
};

/* Policies belong to the table that a query names, not to its leaves; a filter may name the table too. An index finds
 * what a cursor asks for. Before 14 a range of pages is no plan, but a scan of all. */
static bool can_be_cut(const struct rf_plan *plan) {
    const struct rf_source_facts *source = plan->source;
    bool by_pages = plan->reading == RF_READ_ALL || plan->reading == RF_READ_VERSIONS;
    if (plan->job->connections < 2 || !by_pages || source->row_security || source->server.version < 140000) return false;
    if (source->n_leaves > 1 && plan->job->where) return false;
    for (int i = 0; i < source->n_leaves; i++)
        if (!source->leaves[i].readable) return false;
    return true;
}

static int64_t pages_of_part(const struct rf_plan *plan) {
    int64_t pages = 0;
    for (int i = 0; i < plan->source->n_leaves; i++) pages += plan->source->leaves[i].pages;
    int64_t share = pages / (plan->job->connections * PARTS_PER_READER);
    return share < LEAST_PAGES ? LEAST_PAGES : share;
}

static int count_parts(const struct rf_leaf *leaf, int64_t pages) {
    int64_t n = leaf->pages / pages;
    return n < 1 ? 1 : (int)n;
}

/* Pages that were added after the size was read belong to the last part, which has no end. */
static void cut_leaf(struct rf_plan *plan, int leaf, int64_t pages) {
    int n = count_parts(&plan->source->leaves[leaf], pages);
    for (int i = 0; i < n; i++)
        plan->parts[plan->n_parts++] = (struct rf_part){.leaf = leaf, .from_page = i * pages, .to_page = i + 1 < n ? (i + 1) * pages : 0};
}

enum rf_code rf_cut_parts(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    if (!can_be_cut(plan)) return RF_OK;
    int64_t pages = pages_of_part(plan);
    size_t n = 0;
    for (int i = 0; i < plan->source->n_leaves; i++) n += (size_t)count_parts(&plan->source->leaves[i], pages);
    if (n < 2) return RF_OK;
    plan->parts = rf_arena_take(arena, n * sizeof *plan->parts);
    if (!plan->parts) return rf_no_memory(err);
    for (int i = 0; i < plan->source->n_leaves; i++) cut_leaf(plan, i, pages);
    return RF_OK;
}
