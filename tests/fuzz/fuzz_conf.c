/* Any bytes as a YAML file: read, typed, written as JSON. */

#include "common/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void read_all(struct conf_log *log, const struct conf_node *node)
{
    uint32_t u32;
    int64_t i64;
    bool truth;
    struct str text;

    (void)(conf_bool(log, node, &truth) + conf_u32(log, node, &u32) +
           conf_scaled(log, node, 12, &i64) + conf_text(log, node, &text));
    ASSERT(conf_is_off(node) || node->kind != CONF_NULL);
    CONF_FOREACH(node, it)
    read_all(log, it);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct conf_node *root;
    struct arena a;
    struct err e;

    arena_init(&a, NULL, 256 << 20);
    if (conf_parse(&root, &a, "fuzz", (struct str){(const char *)data, n}, &e) == ERRC_OK) {
        struct conf_log log = {.arena = &a};
        ASSERT(root->size <= CONF_MAX_NODES && root->height <= CONF_MAX_DEPTH);
        read_all(&log, root);
        ASSERT(conf_json(&a, root).n > 0 || !arena_ok(&a));
    }
    arena_reset(&a);
    return 0;
}
