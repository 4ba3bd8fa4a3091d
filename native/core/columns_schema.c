#include "core/columns.h"

#include "core/text.h"

#include <stdlib.h>
#include <string.h>

/* What a schema points to; children may be moved out, so each has its own. */
struct owned {
    char *name;
    char *format;
    struct rf_text metadata;
    struct ArrowSchema *children; /* shape (n_children,) */
    struct ArrowSchema **pointers;
};

static void release_schema(struct ArrowSchema *schema) {
    struct owned *owned = schema->private_data;
    for (int64_t i = 0; i < schema->n_children; i++)
        if (owned->children[i].release) owned->children[i].release(&owned->children[i]);
    free(owned->name);
    free(owned->format);
    rf_text_free(&owned->metadata);
    free(owned->children);
    free(owned->pointers);
    free(owned);
    schema->release = NULL;
}

/* ---- metadata ------------------------------------------------------------------------------------------------------- */

static void add_number(struct rf_text *out, size_t number) {
    int32_t narrow = (int32_t)number;
    rf_text_add_bytes(out, (const char *)&narrow, sizeof narrow);
}

static void add_pair(struct rf_text *out, const char *key, const char *value) {
    add_number(out, strlen(key));
    rf_text_add(out, key);
    add_number(out, strlen(value));
    rf_text_add(out, value);
}

/* `declared` may be NULL. */
static void add_metadata(struct rf_text *out, const struct rf_type *type, const char *declared) {
    size_t n_pairs = (type->extension ? 2u : 0u) + (declared ? 1u : 0u);
    if (n_pairs == 0) return;
    add_number(out, n_pairs);
    if (type->extension) {
        add_pair(out, "ARROW:extension:name", type->extension);
        add_pair(out, "ARROW:extension:metadata", "");
    }
    if (declared) add_pair(out, "rowferry.type", declared);
}

/* ---- nodes ----------------------------------------------------------------------------------------------------------- */

/* A node whose children are still empty; `out` is empty when memory was short. */
static enum rf_code make_node(const char *name, const char *format, int64_t flags, int n_children, struct ArrowSchema *out, struct rf_error *err) {
    struct owned *owned = calloc(1, sizeof *owned);
    *out = (struct ArrowSchema){0};
    if (!owned) return rf_no_memory(err);
    *out = (struct ArrowSchema){.flags = flags, .release = release_schema, .private_data = owned};
    owned->name = strdup(name);
    owned->format = strdup(format);
    owned->children = calloc((size_t)n_children + 1, sizeof *owned->children);
    owned->pointers = calloc((size_t)n_children + 1, sizeof *owned->pointers);
    if (!owned->name || !owned->format || !owned->children || !owned->pointers) {
        release_schema(out);
        return rf_no_memory(err);
    }
    for (int i = 0; i < n_children; i++) owned->pointers[i] = &owned->children[i];
    out->name = owned->name;
    out->format = owned->format;
    out->n_children = n_children;
    out->children = n_children > 0 ? owned->pointers : NULL;
    return RF_OK;
}

static enum rf_code make_value(const char *name, const struct rf_type *type, bool not_null, const char *declared,
                               struct ArrowSchema *out, struct rf_error *err) {
    RF_TRY(make_node(name, type->format, not_null ? 0 : ARROW_FLAG_NULLABLE, type->element != NULL, out, err));
    struct rf_text *metadata = &((struct owned *)out->private_data)->metadata;
    add_metadata(metadata, type, declared);
    out->metadata = metadata->data;
    enum rf_code code = rf_text_check(metadata, err);
    if (code == RF_OK && type->element) code = make_value("item", type->element, false, NULL, out->children[0], err);
    if (code != RF_OK) release_schema(out);
    return code;
}

enum rf_code rf_columns_schema(const struct rf_columns_field *fields, int n_fields, struct ArrowSchema *out, struct rf_error *err) {
    RF_TRY(make_node("", "+s", 0, n_fields, out, err));
    enum rf_code code = RF_OK;
    for (int i = 0; code == RF_OK && i < n_fields; i++)
        code = make_value(fields[i].name, &fields[i].type, fields[i].not_null, fields[i].declared, out->children[i], err);
    if (code != RF_OK) release_schema(out);
    return code;
}
